"""Whole numbers as people type them: 200k, 1.5M, 1e6, 1_000_000, 10,000,000."""

from __future__ import annotations

import re

MOST_DIGITS = 4_000
"""Python turns no more of them into a number."""
_ZEROS = {"": 0, "k": 3, "m": 6, "g": 9, "b": 9}
_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d+(?:_\d+)*|\d{1,3}(?:,\d{3})+)(?:\.(?P<fraction>\d+))?"
    r"(?:e(?P<exponent>[+-]?\d{1,9}))?(?P<suffix>[kmgb]?)",
    re.ASCII | re.IGNORECASE,
)


def whole_number(text: str) -> int:
    """Read a whole number; ValueError says in a sentence what is wrong.

    k, M and G (or B) stand for thousands, millions and billions, in either case.
    """
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(f'"{text}" is not a whole number, such as 5000, 200k, 1.5M or 1e6')
    fraction = found["fraction"] or ""
    digits = re.sub("[_,]", "", found["whole"]) + fraction
    zeros = int(found["exponent"] or 0) + _ZEROS[found["suffix"].lower()] - len(fraction)
    significant = digits.rstrip("0")
    zeros += len(digits) - len(significant)
    significant = significant.lstrip("0")
    if not significant:
        return 0
    if zeros < 0:
        raise ValueError(f'"{text}" is not a whole number: it has a fraction')
    if len(significant) + zeros > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS:,} digits is too large")
    value = int(significant + "0" * zeros)
    return -value if found["sign"] == "-" else value


def with_plain_number(word: str) -> str:
    """A word that may be a frame number, as `newest` or `200k`, with the number in plain digits."""
    try:
        return str(whole_number(word))
    except ValueError:
        return word
