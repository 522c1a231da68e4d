"""Converting recipes to and from JSON, without executing code that a file names."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

from qcade.checks import check_part, check_value, nearest
from qcade.parts import Game
from qcade.recipe.kinds import class_of, kind_of
from qcade.recipe.migrations import RECIPE_FORMAT, migrated_recipe
from qcade.recipe.spec import Recipe, validate
from qcade.types import JSON, QcadeError


def to_json(part: Any) -> dict[str, JSON]:
    """Convert a recipe or one of its parts to plain JSON; `kind` names the class.

    A recipe also gets `format`, the version of its JSON format.
    """
    data: dict[str, JSON] = {"format": RECIPE_FORMAT} if isinstance(part, Recipe) else {}
    kind = kind_of(type(part))
    if kind is not None:
        data["kind"] = kind
    for item in dataclasses.fields(part):
        value = getattr(part, item.name)
        if dataclasses.is_dataclass(value):
            data[item.name] = to_json(value)
        else:
            data[item.name] = list(value) if isinstance(value, tuple) else value
    return data


def from_json(data: JSON) -> Recipe:
    """Make a recipe from JSON that `to_json` wrote, in this or an earlier version.

    Raises QcadeError that names the wrong field. Only classes of qcade, or of modules that are
    already imported, are used: reading an untrusted file must not run its code.
    """
    if not isinstance(data, dict):
        raise QcadeError("a recipe file must hold one JSON object; see `qcade recipes dqn --json`")
    try:
        recipe = _part_from_json(migrated_recipe(data), Recipe, "recipe")
        assert isinstance(recipe, Recipe)
        validate(recipe)
    except RecursionError:
        raise QcadeError("the parts of the recipe are nested too deeply") from None
    return recipe


def game_from_json(data: dict[str, JSON]) -> Game:
    """Make only the game of a recipe from its JSON; raises the same errors as `from_json`."""
    game = migrated_recipe(data).get("game")
    if not isinstance(game, dict):
        raise QcadeError("the recipe has no game")
    try:
        part = _part_from_json(game, Game, "game")
    except RecursionError:
        raise QcadeError("the parts of the recipe are nested too deeply") from None
    assert isinstance(part, Game)
    check_part(part, "game")
    return part


def differences(one: Recipe, other: Recipe) -> list[str]:
    """List the fields in which two recipes differ, as `path: one -> other`.

    The same ROM at another path is not a difference.
    """
    flat_one, flat_other = flatten(to_json(one)), flatten(to_json(other))
    md5 = flat_one.get("game.rom_md5")
    same_rom = md5 is not None and md5 == flat_other.get("game.rom_md5")
    return [
        f"{path}: {flat_one.get(path)} -> {flat_other.get(path)}"
        for path in sorted(flat_one.keys() | flat_other.keys())
        if flat_one.get(path) != flat_other.get(path) and not (same_rom and path == "game.rom")
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
    """Dotted paths of the optional parts that are None."""
    hints = typing.get_type_hints(type(part))
    absent: set[str] = set()
    for item in dataclasses.fields(part):
        where = f"{path}.{item.name}" if path else item.name
        value = getattr(part, item.name)
        if dataclasses.is_dataclass(value):
            absent |= absent_parts(value, where)
        elif value is None and _part_choices(hints[item.name]):
            absent.add(where)
    return absent


def _part_choices(hint: Any) -> list[type]:
    """The part classes that an annotation accepts; empty if it accepts only plain values."""
    choices = (hint, *typing.get_args(hint))
    return [c for c in choices if dataclasses.is_dataclass(c) or inspect.isabstract(c)]


def _takes_tuple(hint: Any) -> bool:
    return any(typing.get_origin(c) is tuple for c in (hint, *typing.get_args(hint)))


def _part_from_json(data: dict[str, JSON], expected: Any, where: str) -> Any:
    cls = class_of(data.get("kind"), _part_choices(expected)[0], where)
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [item.name for item in dataclasses.fields(cls)]
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key == "kind" and kind_of(cls) is not None:
            continue
        path = key if where == "recipe" else f"{where}.{key}"
        if key not in names:
            raise QcadeError(f'unknown field "{path}": {nearest(key, names)}')
        if isinstance(value, dict) and _part_choices(hints[key]):
            values[key] = _part_from_json(value, hints[key], path)
        elif isinstance(value, list) and _takes_tuple(hints[key]):
            values[key] = tuple(value)
        else:
            values[key] = value
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
