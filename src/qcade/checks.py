"""Checking dataclasses against their annotations, with human-readable errors."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal

from qcade.types import LARGEST_FLOAT, LARGEST_WHOLE_NUMBER, Above, QcadeError, Range

MOST_CHARACTERS_SHOWN = 60
MOST_DIGITS_SHOWN = 40


def check_part(part: Any, path: str = "") -> None:
    """Check every field of a dataclass, and of nested ones, against its annotation.

    Raises QcadeError with the dotted path of the first wrong field.
    """
    hints = typing.get_type_hints(type(part), include_extras=True)
    for item in dataclasses.fields(part):
        where = f"{path}.{item.name}" if path else item.name
        value = getattr(part, item.name)
        check_value(value, hints[item.name], where)
        if dataclasses.is_dataclass(value):
            check_part(value, where)
    for item in dataclasses.fields(part):
        for note in _notes(hints[item.name]):
            if isinstance(note, Above):
                _check_above(part, item.name, note.field, path)


def check_value(value: Any, hint: Any, where: str) -> None:
    """Raise QcadeError if a value does not have its field's type or is out of bounds.

    Numbers must be finite; if an annotation has no bounds, the bounds of the number's type apply.
    """
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        ranges = [note for note in choices[1:] if isinstance(note, Range)]
        if not ranges or not _is_number(value):
            check_value(value, choices[0], where)
            return
        _require_type(value, choices[0], where)
        for bounds in ranges:
            _check_bounds(value, bounds, choices[0], where)
    elif origin in (typing.Union, types.UnionType):
        fitting = [choice for choice in choices if _is_of_type(value, choice)]
        if not fitting:
            raise QcadeError(f"{where} is {shown_value(value)}; expected {_phrase(hint)}")
        check_value(value, fitting[0], where)
    elif origin is tuple:
        _check_tuple(value, choices, where)
    else:
        _require_type(value, hint, where)
        if hint in (int, float):
            _check_bounds(value, Range(), hint, where)


def number_or_none(value: Any) -> float | None:
    """A JSON value as a float; None if it is not a number, or not finite or too large."""
    return float(value) if _is_number(value) and abs(value) <= LARGEST_FLOAT else None


def shown_value(value: Any) -> str:
    """A value as shown in error messages; long ones are shortened."""
    if isinstance(value, int) and value.bit_length() > 3 * MOST_DIGITS_SHOWN:
        digits = math.ceil(value.bit_length() * math.log10(2))
        return f"a whole number of about {digits:,} digits"
    cut = MOST_CHARACTERS_SHOWN
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"an odd {type(value).__name__}"
    return text if len(text) <= cut else f"{text[:cut]}..."


def nearest(word: str, known: Iterable[str]) -> str:
    """A phrase for error messages that names the known words most similar to `word`."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return "did you mean " + " or ".join(close) + "?" if close else "known: " + ", ".join(known)


def _check_tuple(value: Any, choices: tuple[Any, ...], where: str) -> None:
    is_variadic = len(choices) == 2 and choices[1] is Ellipsis
    if not isinstance(value, tuple):
        wanted = "a list of values" if is_variadic else f"{len(choices)} values"
        raise QcadeError(f"{where} is {shown_value(value)}; expected {wanted}")
    if is_variadic:
        choices = (choices[0],) * len(value)
    if len(value) != len(choices):
        raise QcadeError(f"{where} has {len(value)} values; expected {len(choices)} values")
    for position, (one, choice) in enumerate(zip(value, choices, strict=True)):
        check_value(one, choice, f"{where}[{position}]")


def _check_bounds(value: float, bounds: Range, hint: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise QcadeError(f"{where} is {value}; it must be a finite number")
    takes_fractions = _is_of_type(0.5, hint)
    largest = LARGEST_FLOAT if takes_fractions else LARGEST_WHOLE_NUMBER
    low = -largest if bounds.low is None else bounds.low
    high = largest if bounds.high is None else bounds.high
    if low <= value <= high:
        return
    if takes_fractions and None not in bounds:
        raise QcadeError(f"{where} is {shown_value(value)}; it must be from {low:g} to {high:g}")
    phrase = f"at least {_bound(low)}" if value < low else f"at most {_bound(high)}"
    raise QcadeError(f"{where} is {shown_value(value)}; it must be {phrase}")


def _check_above(part: Any, name: str, other: str, path: str) -> None:
    high, low = getattr(part, name), getattr(part, other)
    if high > low:
        return
    prefix = f"{path}." if path else ""
    raise QcadeError(
        f"{prefix}{name} is {shown_value(high)}; it must be greater than {prefix}{other}, which is "
        f"{shown_value(low)}"
    )


def _notes(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()


def _require_type(value: Any, hint: Any, where: str) -> None:
    if not _is_of_type(value, hint):
        raise QcadeError(f"{where} is {shown_value(value)}; expected {_phrase(hint)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_of_type(value: Any, hint: Any) -> bool:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _is_of_type(value, choices[0])
    if origin in (typing.Union, types.UnionType):
        return any(_is_of_type(value, choice) for choice in choices)
    if origin is Literal:
        return any(isinstance(value, type(c)) and value == c for c in choices)
    if hint is Any:
        return True
    if hint is float:
        return _is_number(value)
    if hint is int:
        return _is_number(value) and isinstance(value, int)
    return isinstance(value, origin or hint)


def _phrase(hint: Any) -> str:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _phrase(choices[0])
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in choices)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_phrase(choice) for choice in choices)
    plain = {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "str": "text",
        "tuple": "a list",
        "NoneType": "none",
    }
    name = str((origin or hint).__name__)
    return plain.get(name, name)


def _bound(bound: float) -> str:
    if not isinstance(bound, int):
        return f"{bound:g}"
    if bound.bit_length() > 64:
        return f"a number of {len(str(bound)) - 1:,} digits"
    return f"{bound:,}"
