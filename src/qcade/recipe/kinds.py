"""The kinds of parts: names in recipe files that stay stable when modules or classes are renamed.

The kind of a game, torso or algorithm is the name of its file (`atari` is games/atari.py), so a new
file is a new kind. Parts that share a file are listed in the tables below. The kind of a custom
class is `module:Class`.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from typing import Any

from qcade.checks import nearest, shown_value
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
from qcade.recipe.spec import WRONG_ALGORITHM_TYPE, OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.types import JSON, QcadeError

FOLDERS: dict[type, str] = {
    Game: "qcade.games",
    Torso: "qcade.networks.torsos",
    AnyAlgorithm: "qcade.algorithms",
}
"""Interfaces whose kinds are files with one class each."""
TABLES: dict[type, dict[str, str]] = {
    Streams: {
        "plain": "qcade.networks.streams:Plain",
        "dueling": "qcade.networks.streams:Dueling",
        "shared-dueling": "qcade.networks.streams:SharedDueling",
    },
    Exploration: {
        "linear": "qcade.agent.exploration:LinearEpsilon",
        "linear-of-run": "qcade.agent.exploration:LinearEpsilonOfRun",
        "exponential": "qcade.agent.exploration:ExponentialEpsilon",
        "ladder": "qcade.agent.exploration:EpsilonLadder",
        "none": "qcade.agent.exploration:NoRandomActions",
    },
    OptimizerSpec: {
        "adam": "qcade.agent.optimizers:Adam",
        "radam": "qcade.agent.optimizers:RAdam",
    },
    TargetUpdate: {
        "hard-copy": "qcade.agent.targets:HardCopy",
        "moving-average": "qcade.agent.targets:MovingAverage",
        "none": "qcade.agent.targets:NoTarget",
    },
    Resets: {"shrink-and-perturb": "qcade.agent.resets:ShrinkAndPerturb"},
    Sampling: {
        "uniform": "qcade.replay.samplers:Uniform",
        "prioritized": "qcade.replay.prioritized:Prioritized",
    },
    Recipe: {
        "replay": f"{ReplayRecipe.__module__}:{ReplayRecipe.__qualname__}",
        "rollouts": f"{OnPolicyRecipe.__module__}:{OnPolicyRecipe.__qualname__}",
    },
}
OWN_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
"""The kind of a custom class: its module and name."""
LONGEST_KIND = 300


def kind_of(cls: type) -> str | None:
    """The kind of a part's class; None if its field allows no other class."""
    path = f"{cls.__module__}:{cls.__qualname__}"
    for interface, folder in FOLDERS.items():
        if issubclass(cls, interface):
            package, _, file = cls.__module__.rpartition(".")
            return file.replace("_", "-") if package == folder else path
    for interface, table in TABLES.items():
        if issubclass(cls, interface):
            return {known: kind for kind, known in table.items()}.get(path, path)
    return None


def class_of(kind: JSON, interface: type, where: str) -> Any:
    """Return the class of a kind for an interface; QcadeError, with the valid kinds, if unknown.

    Only classes of qcade, or of modules that are already imported, are found: reading an untrusted
    file must not run its code.
    """
    room = next((room for room in (*FOLDERS, *TABLES) if issubclass(interface, room)), None)
    if room is None:
        return interface
    if kind is None:
        raise QcadeError(f"{where} has no kind; {_choices(room)}")
    if not isinstance(kind, str) or len(kind) > LONGEST_KIND:
        raise QcadeError(f"{where}.kind is {shown_value(kind)}; {_choices(room)}")
    if kind not in (_files(FOLDERS[room]) if room in FOLDERS else TABLES[room]):
        cls = _own_class(kind, room, where)
    elif room in FOLDERS:
        cls = _class_in(f"{FOLDERS[room]}.{kind.replace('-', '_')}", room)
    else:
        module_name, _, class_name = TABLES[room][kind].partition(":")
        cls = getattr(importlib.import_module(module_name), class_name)
    is_part = isinstance(cls, type) and dataclasses.is_dataclass(cls)
    is_algorithm = is_part and issubclass(cls, AnyAlgorithm) and room is AnyAlgorithm
    if is_algorithm and not issubclass(cls, interface):
        raise QcadeError(f'{where} is of kind "{kind}": {WRONG_ALGORITHM_TYPE}')
    if not is_part or inspect.isabstract(cls) or not issubclass(cls, interface):
        raise QcadeError(f'{where} is of kind "{kind}", which cannot be used there')
    return cls


def _own_class(kind: str, room: type, where: str) -> Any:
    module_name, colon, class_name = kind.partition(":")
    if not OWN_CLASS.fullmatch(kind) or module_name.split(".")[0] == "qcade":
        advice = _choices(room) if colon else nearest(kind, kinds(room))
        raise QcadeError(f"{where} is of unknown kind {shown_value(kind)}: {advice}")
    if module_name not in sys.modules:
        raise QcadeError(
            f'{where} is of kind "{kind}", which is not part of qcade: if you trust that module, '
            f"import it first (on the command line: --import {module_name})"
        )
    return getattr(sys.modules[module_name], class_name, None)


def kinds(interface: type) -> tuple[str, ...]:
    """The built-in kinds of an interface, sorted."""
    if interface in TABLES:
        return tuple(sorted(TABLES[interface]))
    folder = FOLDERS[interface]
    return tuple(
        kind
        for kind in _files(folder)
        if _class_in(f"{folder}.{kind.replace('-', '_')}", interface) is not None
    )


def _choices(interface: type) -> str:
    return f"use one of {', '.join(kinds(interface))}, or module:Class for your own class"


def _files(folder: str) -> tuple[str, ...]:
    """The names of a package's files as kinds; some may define no part."""
    path = importlib.import_module(folder).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    return tuple(name.replace("_", "-") for name in names)


def _class_in(module_name: str, interface: type) -> Any:
    """The part of an interface that a file defines; None if it does not define exactly one."""
    members = vars(importlib.import_module(module_name)).values()
    found = [
        cls
        for cls in members
        if isinstance(cls, type)
        and cls.__module__ == module_name
        and issubclass(cls, interface)
        and dataclasses.is_dataclass(cls)
    ]
    return found[0] if len(found) == 1 else None
