"""Reading human-readable whole numbers: 200k, 1.5M, 1e6, 1_000_000, 10,000,000."""

from __future__ import annotations

import re

MOST_DIGITS = 4_000
"""Python refuses to convert more digits to a number."""
_ZEROS = {"": 0, "k": 3, "m": 6, "g": 9, "b": 9}
_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d+(?:_\d+)*|\d{1,3}(?:,\d{3})+)(?:\.(?P<fraction>\d+))?"
    r"(?:e(?P<exponent>[+-]?\d{1,9}))?(?P<suffix>[kmgb]?)",
    re.ASCII | re.IGNORECASE,
)


def whole_number(text: str) -> int:
    """Read a whole number; ValueError has a sentence about what is wrong.

    k, M and G (or B) stand for thousands, millions and billions, in either case.
    """
    parts = _FORM.fullmatch(text.strip())
    if not parts:
        raise ValueError(f'"{text}" is not a whole number, such as 5000, 200k, 1.5M or 1e6')
    fraction = parts["fraction"] or ""
    digits = re.sub("[_,]", "", parts["whole"]) + fraction
    zeros = int(parts["exponent"] or 0) + _ZEROS[parts["suffix"].lower()] - len(fraction)
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
    return -value if parts["sign"] == "-" else value


def with_plain_number(word: str) -> str:
    """Return a frame number such as 200k in plain digits, and any other word unchanged."""
    try:
        return str(whole_number(word))
    except ValueError:
        return word
