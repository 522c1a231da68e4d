"""Recipes as JSON, both ways, without ever running code of the file's choosing."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
import typing
from typing import Any

from qcade.checks import check_value, nearest
from qcade.recipe import Recipe, validate
from qcade.types import JSON, QcadeError


def to_json(part: Any) -> dict[str, JSON]:
    """Turn a recipe or one of its parts into plain JSON; `kind` names the class."""
    data: dict[str, JSON] = {"kind": f"{type(part).__module__}:{type(part).__qualname__}"}
    for item in dataclasses.fields(part):
        value = getattr(part, item.name)
        if dataclasses.is_dataclass(value):
            data[item.name] = to_json(value)
        else:
            data[item.name] = list(value) if isinstance(value, tuple) else value
    return data


def from_json(data: JSON) -> Recipe:
    """Make the recipe that `to_json` wrote; raise QcadeError naming the field that is wrong.

    Only classes of qcade, or of modules that are imported already, are made: opening a
    stranger's file must not run their code.
    """
    if not isinstance(data, dict):
        raise QcadeError("a recipe file holds one JSON object; see `qcade recipes dqn --json`")
    recipe = _part_from_json(data, Recipe, "recipe")
    assert isinstance(recipe, Recipe)
    validate(recipe)
    return recipe


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Name the fields in which two recipes differ, as `path: one -> other`."""
    flat_one, flat_other = flatten(to_json(one)), flatten(to_json(other))
    return [
        f"{path}: {flat_one.get(path)} -> {flat_other.get(path)}"
        for path in sorted(flat_one.keys() | flat_other.keys())
        if flat_one.get(path) != flat_other.get(path)
    ]


def flatten(data: JSON, path: str = "") -> dict[str, JSON]:
    """Map every field's dotted path to its value."""
    if not isinstance(data, dict):
        return {path: data}
    flat: dict[str, JSON] = {}
    for key, value in data.items():
        flat |= flatten(value, f"{path}.{key}" if path else key)
    return flat


def absent_parts(part: Any, path: str = "") -> set[str]:
    """Dotted paths of the parts that a recipe does without: None where a part could be."""
    hints = typing.get_type_hints(type(part))
    absent: set[str] = set()
    for item in dataclasses.fields(part):
        where = f"{path}.{item.name}" if path else item.name
        value = getattr(part, item.name)
        if dataclasses.is_dataclass(value):
            absent |= absent_parts(value, where)
        elif value is None and any(map(_is_part, typing.get_args(hints[item.name]))):
            absent.add(where)
    return absent


def _is_part(choice: Any) -> bool:
    return dataclasses.is_dataclass(choice) or inspect.isabstract(choice)


def _part_from_json(data: dict[str, JSON], expected: Any, where: str) -> Any:
    cls = _part_class(data.get("kind"), expected, where)
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [item.name for item in dataclasses.fields(cls)]
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key == "kind":
            continue
        path = key if where == "recipe" else f"{where}.{key}"
        if key not in names:
            raise QcadeError(f'unknown field "{path}": {nearest(key, names)}')
        if isinstance(value, dict):
            values[key] = _part_from_json(value, hints[key], path)
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
        check_value(values[key], hints[key], path)
    missing = [
        item.name
        for item in dataclasses.fields(cls)
        if item.name not in values
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise QcadeError(f"{where} lacks {', '.join(missing)}; see `qcade recipes dqn --json`")
    return cls(**values)


def _part_class(kind: JSON, expected: Any, where: str) -> Any:
    if kind is None:
        for choice in (expected, *typing.get_args(expected)):
            if dataclasses.is_dataclass(choice) and not inspect.isabstract(choice):
                return choice
        raise QcadeError(f'{where} lacks its kind, as in {{"kind": "package.module:Class"}}')
    module_name, _, class_name = str(kind).partition(":")
    if module_name.split(".")[0] == "qcade":
        try:
            importlib.import_module(module_name)
        except ImportError:
            raise QcadeError(f'{where} is of unknown kind "{kind}"') from None
    elif module_name not in sys.modules:
        raise QcadeError(
            f'{where} is of kind "{kind}", which is not part of qcade: if you trust that module, '
            f"import it first (on the command line: --import {module_name})"
        )
    cls = getattr(sys.modules[module_name], class_name, None)
    fits = isinstance(cls, type) and dataclasses.is_dataclass(cls)
    if not fits or (
        isinstance(expected, type) and not issubclass(typing.cast(type, cls), expected)
    ):
        raise QcadeError(f'{where} is of kind "{kind}", which cannot be used there')
    return cls
