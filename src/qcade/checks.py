"""Checking dataclasses against their annotations, in words for people."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal

from qcade.types import QcadeError, Range


def check_part(part: Any, path: str = "") -> None:
    """Check every field of a dataclass, and of those in it, against its annotation.

    Raises QcadeError that names the dotted path of the first field that is wrong.
    """
    hints = typing.get_type_hints(type(part), include_extras=True)
    for item in dataclasses.fields(part):
        where = f"{path}.{item.name}" if path else item.name
        value = getattr(part, item.name)
        check_value(value, hints[item.name], where)
        if dataclasses.is_dataclass(value):
            check_part(value, where)


def check_value(value: Any, hint: Any, where: str) -> None:
    """Raise QcadeError if a value is not of its field's type, or beyond its bounds."""
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        check_value(value, choices[0], where)
        for bounds in choices[1:]:
            if isinstance(bounds, Range) and not bounds.low <= value <= bounds.high:
                raise QcadeError(f"{where} is {value}; it must be {_range_phrase(bounds)}")
    elif origin in (typing.Union, types.UnionType):
        fitting = [choice for choice in choices if _is_of_type(value, choice)]
        if not fitting:
            raise QcadeError(f"{where} is {value!r}; expected {_phrase(hint)}")
        check_value(value, fitting[0], where)
    elif origin is tuple:
        if not isinstance(value, tuple) or len(value) != len(choices):
            raise QcadeError(f"{where} is {value!r}; expected {len(choices)} values")
        for position, (one, choice) in enumerate(zip(value, choices, strict=True)):
            check_value(one, choice, f"{where}[{position}]")
    elif not _is_of_type(value, hint):
        raise QcadeError(f"{where} is {value!r}; expected {_phrase(hint)}")


def _is_of_type(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _is_of_type(value, typing.get_args(hint)[0])
    if origin is Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _phrase(hint: Any) -> str:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _phrase(choices[0])
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in choices)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_phrase(choice) for choice in choices)
    return {"NoneType": "none", "str": "text"}.get(hint.__name__, str(hint.__name__))


def _range_phrase(bounds: Range) -> str:
    if bounds.high == float("inf"):
        return f"at least {bounds.low:g}"
    return f"from {bounds.low:g} to {bounds.high:g}"


def nearest(word: str, known: Iterable[str]) -> str:
    """A phrase that names the known words nearest to `word`, for error messages."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return "did you mean " + " or ".join(close) + "?" if close else "known: " + ", ".join(known)
