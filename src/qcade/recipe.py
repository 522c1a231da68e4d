"""A recipe says everything that decides a run: frozen dataclasses, checked, and JSON both ways."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import sys
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from qcade.types import (
    JSON,
    Algorithm,
    Count,
    Exploration,
    Game,
    OptimizerPart,
    Positive,
    Probability,
    QcadeError,
    Range,
    TargetNetwork,
    Torso,
)


@dataclass(frozen=True)
class Replay:
    """What is remembered and how transitions are made of it."""

    capacity: Positive = 1_000_000
    """Frames kept, over all environments; 84x84 frames take 7,056 bytes each."""
    n_step: Positive = 1
    """Rewards summed before bootstrapping."""
    gamma: Probability = 0.99
    """Discount of one decision."""
    clip_rewards: bool = True
    """Learn from rewards clipped to [-1, 1]; reported scores never are."""


@dataclass(frozen=True)
class Updates:
    """When the learner updates, and on how much."""

    start_frames: Count = 80_000
    """Emulator frames of experience that must be in memory before the first update."""
    period_decisions: Positive = 4
    """One update for every so many decisions."""
    batch_size: Positive = 32
    """Transitions an update."""


@dataclass(frozen=True)
class Checkpoints:
    """When a checkpoint is due, besides the end and an interrupt."""

    period_frames: Count = 400_000
    """Emulator frames between checkpoints; 0 for none."""
    period_episodes: Count = 0
    """A checkpoint after every so many episodes; 0 for none."""


@dataclass(frozen=True)
class Compute:
    """Where and how the arithmetic is done."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto takes a GPU if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the networks; auto is bfloat16 where the hardware has it. Weights: float32."""
    threads: Count = 0
    """Processor threads for the learner and for the emulators; 0 for all cores."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run."""

    name: str
    """The recipe's name."""
    game: Game
    """What is played."""
    torso: Torso
    """From pixels to features."""
    algorithm: Algorithm
    """Head and loss."""
    exploration: Exploration
    """How often an action is random."""
    optimizer: OptimizerPart
    """How gradients become steps."""
    target: TargetNetwork
    """How the target network follows."""
    replay: Replay = field(default_factory=Replay)
    """What is remembered."""
    updates: Updates = field(default_factory=Updates)
    """When the learner updates."""
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    """When checkpoints are written."""
    compute: Compute = field(default_factory=Compute)
    """Where the arithmetic is done."""
    environments: Positive = 8
    """Emulators that play side by side."""
    stack: Positive = 4
    """Frames an observation; at a reset the first one fills the stack."""
    total_frames: Positive = 10_000_000
    """Length of the run in emulator frames."""
    seed: Count = 1
    """Everything random follows from it."""

    @property
    def ring_rows(self) -> int:
        """Rows of E frames that the frame ring holds."""
        needed = -(-self.total_frames // (self.environments * self.game.frames_per_decision)) + 1
        return min(-(-self.replay.capacity // self.environments), needed)

    @property
    def start_rows(self) -> int:
        """Rows that must be in the ring before the first update."""
        wanted = self.updates.start_frames // (self.environments * self.game.frames_per_decision)
        return max(wanted, self.replay.n_step + 1)


def validate(recipe: Recipe) -> None:
    """Check every field of every part; raise QcadeError naming the first that is wrong."""
    _check_part(recipe, "")
    lowest = self_sufficient_capacity(recipe)
    if recipe.replay.capacity < lowest:
        raise QcadeError(
            f"replay.capacity is {recipe.replay.capacity:,}, too small for updates.start_frames = "
            f"{recipe.updates.start_frames:,}, n-step returns and stacks: use at least {lowest:,}"
        )


def self_sufficient_capacity(recipe: Recipe) -> int:
    """The least replay capacity, in frames, with which the first update can happen."""
    rows = max(recipe.start_rows, recipe.replay.n_step + recipe.stack + 1)
    return rows * recipe.environments


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


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """A phrase that names the known words nearest to `word`, for error messages."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return "did you mean " + " or ".join(close) + "?" if close else "known: " + ", ".join(known)


def flatten(data: JSON, path: str = "") -> dict[str, JSON]:
    """Map every field's dotted path to its value."""
    if not isinstance(data, dict):
        return {path: data}
    flat: dict[str, JSON] = {}
    for key, value in data.items():
        flat |= flatten(value, f"{path}.{key}" if path else key)
    return flat


def _check_part(part: Any, path: str) -> None:
    hints = typing.get_type_hints(type(part), include_extras=True)
    for item in dataclasses.fields(part):
        where = f"{path}.{item.name}" if path else item.name
        value = getattr(part, item.name)
        if dataclasses.is_dataclass(value):
            _check_part(value, where)
        else:
            _check_value(value, hints[item.name], where)


def _check_value(value: Any, hint: Any, where: str) -> None:
    bounds = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Range)]
    plain = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    if not _fits(value, plain):
        raise QcadeError(f"{where} is {value!r}; expected {_phrase(plain)}")
    for low, high in bounds:
        if value is not None and not low <= value <= high:
            wanted = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise QcadeError(f"{where} is {value}; it must be {wanted}")


def _fits(value: Any, hint: Any) -> bool:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _fits(value, choices[0])
    if origin is Literal:
        return value in choices
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in choices)
    if origin is tuple:
        if len(choices) == 2 and choices[1] is Ellipsis:
            return isinstance(value, tuple) and all(_fits(v, choices[0]) for v in value)
        return (
            isinstance(value, tuple)
            and len(value) == len(choices)
            and all(_fits(v, c) for v, c in zip(value, choices, strict=True))
        )
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is type(None):
        return value is None
    return isinstance(value, hint)


def _phrase(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(hint))
    return getattr(hint, "__name__", None) or str(hint)


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
    if kind is None and isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return expected
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
