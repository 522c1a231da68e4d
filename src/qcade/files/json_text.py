"""Strict JSON from any source: no NaN, no repeated names, and errors that a person can act on."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from qcade.types import JSON, QcadeError, RunFailed

DEEPEST_NESTING = 50
MOST_CHARACTERS_SHOWN = 60
_OPENINGS = (b"[", b"{")
_EXPECTED = {
    "Expecting value": "a value is expected here",
    "Expecting property name enclosed in double quotes": "a name in double quotes is expected here",
    "Expecting ':' delimiter": "a colon is expected here",
    "Expecting ',' delimiter": "a comma, or the closing bracket, is expected here",
    "Extra data": "the JSON ends before this",
    "Unterminated string starting at": "the text that begins here has no closing quotation mark",
    "Invalid control character at": "a line break or control character inside of a text",
    "Invalid \\escape": "an unknown escape sequence: write \\\\ for a backslash",
    "Invalid \\uXXXX escape": "\\u needs four hexadecimal digits",
    "Illegal trailing comma before end of object": "this comma must be removed",
    "Illegal trailing comma before end of array": "this comma must be removed",
}
"""Messages of Python's JSON reader, and plainer ones."""


class _RefusedError(ValueError):
    """An error in JSON that Python's reader accepts; its message is the predicate of a sentence."""


def parse_json(content: bytes, where: str) -> JSON:
    """Read one JSON value from UTF-8, or from UTF-16 or UTF-32, as PowerShell writes it.

    A byte order mark is skipped. `where` names the text in messages. Raises QcadeError for anything
    that is not strictly JSON, and for repeated names, numbers that are not finite, and more than 50
    levels of nesting.
    """
    text = _decoded(content, where)
    if not text.strip(" \t\r\n"):
        raise QcadeError(f"{where} is empty")
    try:
        data: JSON = _READER.decode(text)
    except _RefusedError as refusal:
        raise QcadeError(f"{where} {refusal}") from None
    except json.JSONDecodeError as error:
        raise QcadeError(f"{where} is not valid JSON: {_place(error)}") from None
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError:
        # Python refuses whole numbers of more than a few thousand digits.
        raise QcadeError(f"{where} has a whole number of thousands of digits") from None
    # Brackets inside strings are counted too, so a high count calls for an exact check.
    if sum(map(content.count, _OPENINGS)) > DEEPEST_NESTING:
        _check_depth(data, where, DEEPEST_NESTING)
    return data


def parse_json_object(content: bytes, where: str) -> dict[str, JSON]:
    """Read a JSON object; QcadeError for anything else, as in `parse_json`."""
    data = parse_json(content, where)
    if not isinstance(data, dict):
        raise QcadeError(f"{where} does not hold a JSON object")
    return data


def json_text(data: JSON, where: str, indent: int | None = None) -> str:
    """Return a JSON value as ASCII text; RunFailed names a field whose number is not finite."""
    try:
        return json.dumps(data, indent=indent, allow_nan=False)
    except ValueError:
        reason = _unwritable(data)
        if reason is None:
            raise
        raise RunFailed(f"{where} cannot be written as JSON: {reason}") from None


def _decoded(content: bytes, where: str) -> str:
    if content[:1] == b"\0" and not content.strip(b"\0"):
        # A power cut leaves such files.
        raise _has_zeros(where)
    is_utf8 = content[:1] in _OPENINGS and b"\0" not in content[:4]
    try:
        text = content.decode("utf-8" if is_utf8 else json.detect_encoding(content))
    except UnicodeDecodeError:
        raise QcadeError(f"{where} is not text in UTF-8") from None
    if "\0" in text:
        raise _has_zeros(where)
    return text


def _has_zeros(where: str) -> QcadeError:
    return QcadeError(f"{where} is not text: it has zero bytes in it")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise _RefusedError(f"gives {_shown(name)} twice in the same object")
            names.add(name)
    return data


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _RefusedError(f"has the number {_shown(text)[1:-1]}, which is too large")
    return number


def _refuse_constant(word: str) -> float:
    raise _RefusedError(f"has the number {word}, which JSON does not have: use a finite number")


def _place(error: json.JSONDecodeError) -> str:
    message = re.sub(r" \(.*\)$", "", error.msg)
    expected = _EXPECTED.get(message, "this cannot be read")
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos : error.pos + 1]
    if before.endswith(",") and after in ("}", "]"):
        expected = "the comma before this must be removed"
    line = f"line {error.lineno:,}, " if "\n" in error.doc.strip() else ""
    return f"{line}column {error.colno:,}: {expected}"


def _check_depth(data: JSON, where: str, levels: int) -> None:
    if not isinstance(data, (dict, list)):
        return
    if levels == 0:
        raise _too_deep(where)
    for each in data.values() if isinstance(data, dict) else data:
        _check_depth(each, where, levels - 1)


def _too_deep(where: str) -> QcadeError:
    return QcadeError(f"{where} is nested deeper than {DEEPEST_NESTING} levels")


def _unwritable(data: JSON, path: str = "") -> str | None:
    """Return the path of the first number that JSON cannot hold, and why; None if there is none."""
    if isinstance(data, dict):
        inner = {f"{path}.{name}" if path else str(name): each for name, each in data.items()}
    elif isinstance(data, (list, tuple)):
        inner = {f"{path}[{position}]": each for position, each in enumerate(data)}
    elif isinstance(data, float) and not math.isfinite(data):
        return f"{path or 'it'} is {data}"
    elif isinstance(data, int) and data.bit_length() > 14_000:
        return f"{path or 'it'} has thousands of digits"
    else:
        return None
    return next(filter(None, (_unwritable(each, name) for name, each in inner.items())), None)


def _shown(text: str) -> str:
    cut = text if len(text) <= MOST_CHARACTERS_SHOWN else f"{text[:MOST_CHARACTERS_SHOWN]}..."
    return json.dumps(cut)


_READER = json.JSONDecoder(
    object_pairs_hook=_without_repeats, parse_float=_finite, parse_constant=_refuse_constant
)
