"""Every number that a recipe can hold is finite and within what can be computed."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import pkgutil
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import pytest

import qcade.agent
import qcade.algorithms
import qcade.games
import qcade.networks
import qcade.networks.torsos
import qcade.replay
from qcade import recipe as recipes_of_all_kinds
from qcade.algorithms.dqn import DQN
from qcade.checks import check_part, check_value
from qcade.networks.torsos.nature import Nature
from qcade.parts import (
    AnyAlgorithm,
    Exploration,
    Game,
    OptimizerSpec,
    Resets,
    Sampling,
    Streams,
    TargetUpdate,
    Torso,
)
from qcade.recipe.as_json import from_json, to_json
from qcade.recipes import make_recipe, recipe_names
from qcade.recipes.dqn import dqn
from qcade.types import Above, Probability, QcadeError, Range

PACKAGES = (
    qcade.agent,
    qcade.algorithms,
    qcade.games,
    qcade.networks,
    qcade.networks.torsos,
    qcade.replay,
)
PART_KINDS = (
    AnyAlgorithm,
    Exploration,
    Game,
    OptimizerSpec,
    Resets,
    Sampling,
    Streams,
    TargetUpdate,
    Torso,
)
SETTINGS: tuple[type, ...] = (
    recipes_of_all_kinds.Replay,
    recipes_of_all_kinds.Horizon,
    recipes_of_all_kinds.Updates,
    recipes_of_all_kinds.Rollouts,
    recipes_of_all_kinds.Checkpoints,
    recipes_of_all_kinds.Evaluations,
    recipes_of_all_kinds.Compute,
)
NOT_NUMBERS = [math.inf, -math.inf, math.nan, True, "x", [1]]
HUGE = [10**31, 10**400, 1e300, -1e300, -(10**400), 10**5000]
MAY_BE_NEGATIVE = {"v_min", "v_max", "lowest_log_policy"}


class NumberField(NamedTuple):
    """A field of a part that holds a number."""

    part: Any
    name: str
    hint: Any


def all_part_classes() -> list[type]:
    found: list[type] = []
    for package in PACKAGES:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.ispkg:
                continue
            for value in vars(importlib.import_module(module.name)).values():
                if not isinstance(value, type) or value.__module__ != module.name:
                    continue
                if issubclass(value, PART_KINDS) and dataclasses.is_dataclass(value):
                    found.append(value)
    return [*found, *SETTINGS]


def example(cls: type) -> Any:
    """A part of that class, with defaults wherever there are any."""
    needed = {"base": DQN(), "torso": Nature()}
    missing = {
        item.name: needed[item.name]
        for item in dataclasses.fields(cls)
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    return cls(**missing)


def takes_numbers(hint: Any) -> bool:
    return hint in (int, float) or any(map(takes_numbers, typing.get_args(hint)))


def number_fields() -> Iterator[NumberField]:
    recipe_parts = [make_recipe("dqn", "catch"), make_recipe("pqn", "catch")]
    for part in [*map(example, all_part_classes()), *recipe_parts]:
        hints = typing.get_type_hints(type(part), include_extras=True)
        for item in dataclasses.fields(part):
            if takes_numbers(hints[item.name]):
                yield NumberField(part, item.name, hints[item.name])


FIELDS = list(number_fields())


def with_value(field: NumberField, value: Any) -> Any:
    if typing.get_origin(field.hint) is tuple:
        value = (value, *getattr(field.part, field.name)[1:])
    return dataclasses.replace(field.part, **{field.name: value})


def refused(field: NumberField, value: Any) -> str:
    """What is said of a value, in Python and in JSON; it has to be the same in both."""
    with pytest.raises(QcadeError) as caught:
        check_part(with_value(field, value))
    assert field.name in str(caught.value)
    return str(caught.value)


def test_the_walk_finds_every_kind_of_part() -> None:
    classes = all_part_classes()
    for kind in PART_KINDS:
        assert any(issubclass(cls, kind) for cls in classes), kind
    # Every part of every recipe there is.
    used = {type(part) for name in recipe_names() for part in parts(make_recipe(name, "catch"))}
    assert used - {type(make_recipe("dqn", "catch")), type(make_recipe("pqn", "catch"))} <= {
        *classes
    }
    assert len(FIELDS) > 80


def parts(part: Any) -> Iterator[Any]:
    yield part
    for item in dataclasses.fields(part):
        if dataclasses.is_dataclass(value := getattr(part, item.name)):
            yield from parts(value)


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f"{type(f.part).__name__}.{f.name}")
def test_no_number_is_without_bounds(field: NumberField) -> None:
    for value in NOT_NUMBERS:
        refused(field, value)
    for value in HUGE:
        if not (field.name == "seed" and value in (10**31, 10**400)):
            refused(field, value)
    if field.name not in MAY_BE_NEGATIVE:
        refused(field, -1)
    if type(None) not in typing.get_args(field.hint):
        refused(field, None)


@pytest.mark.parametrize("seed", [0, 2**64, 10**40, 10**400])
def test_a_seed_may_be_of_any_size(seed: int) -> None:
    recipe = dataclasses.replace(dqn("catch"), seed=seed)
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


@pytest.mark.parametrize("value", [math.nan, -1.0, 1.5, "a", None])
def test_json_and_python_say_the_same_about_a_number(value: object) -> None:
    recipe = dqn("catch")
    data: dict[str, Any] = json.loads(json.dumps(to_json(recipe)))
    data["replay"]["gamma"] = value
    with pytest.raises(QcadeError) as in_json:
        from_json(data)
    replay = dataclasses.replace(recipe.replay, gamma=value)  # type: ignore[arg-type]
    with pytest.raises(QcadeError) as in_python:
        check_part(dataclasses.replace(recipe, replay=replay))
    assert str(in_json.value) == str(in_python.value)


@dataclasses.dataclass(frozen=True)
class Strangers:
    """A part of somebody's own, with annotations of every form."""

    plain: int = 3
    fraction: float = 0.5
    optional: Annotated[int | None, Range(0, 9)] = None
    some: tuple[str, ...] = ("a",)
    pairs: tuple[tuple[int, float], ...] = ()
    low: float = 0.0
    high: Annotated[float, Above("low")] = 1.0
    shares: tuple[Probability, ...] = ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plain": 2**53 + 1}, "plain is 9007199254740993; it must be at most 9,007,199,254,740,9"),
        ({"plain": -(10**40)}, "plain is a whole number of about 41 digits; it must be at least -"),
        ({"fraction": 2e30}, r"fraction is 2e\+30; it must be at most 1e\+30"),
        ({"fraction": 10**31}, "fraction is 10000000000000000000000000000000; it must be at most"),
        ({"optional": 10}, "optional is 10; it must be at most 9"),
        ({"some": ("a", 3)}, r"some\[1\] is 3; expected text"),
        ({"some": "abc"}, "some is 'abc'; expected a list of values"),
        ({"pairs": ((1, math.inf),)}, r"pairs\[0\]\[1\] is inf; it must be a finite number"),
        ({"pairs": ((1, 2.0, 3),)}, r"pairs\[0\] has 3 values; expected 2 values"),
        ({"low": 1.0}, "high is 1.0; it must be greater than low, which is 1.0"),
        ({"shares": (0.5, 1.5)}, r"shares\[1\] is 1.5; it must be from 0 to 1"),
    ],
)
def test_parts_of_ones_own_are_bounded_too(changes: dict[str, Any], sentence: str) -> None:
    check_part(Strangers(plain=2**53, optional=9, some=(), pairs=((1, 2), (3, 4.5)), shares=(1,)))
    with pytest.raises(QcadeError, match=sentence):
        check_part(Strangers(**changes))


@pytest.mark.parametrize("recipe", ["c51", "rainbow", "hl-gauss"])
def test_a_range_of_returns_must_not_be_empty(recipe: str) -> None:
    made = make_recipe(recipe, "catch")
    for low, high in ((5.0, 5.0), (5.0, -5.0)):
        part: Any = made.algorithm
        algorithm = dataclasses.replace(part, v_min=low, v_max=high)
        with pytest.raises(QcadeError, match=r"algorithm\.v_max is .* than algorithm\.v_min"):
            check_part(dataclasses.replace(made, algorithm=algorithm))


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(QcadeError) as caught:
        check_value("y" * 10_000, int, "here")
    assert len(str(caught.value)) < 150
