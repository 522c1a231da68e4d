"""The names that parts have on disk: stable, whatever their modules and classes are called.

A game, torso or algorithm is named by its file (`atari` is games/atari.py), so that a new file is a
new kind. Parts that share a file are in the tables below. A class of one's own is `module:Class`.
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
    Algorithm,
    Exploration,
    Game,
    OptimizerPart,
    Resets,
    Sampling,
    Streams,
    TargetNetwork,
    Torso,
)
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.types import JSON, QcadeError

FOLDERS: dict[type, str] = {
    Game: "qcade.games",
    Torso: "qcade.networks.torsos",
    Algorithm: "qcade.algorithms",
}
"""Interfaces whose kinds are files: one class each."""
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
    OptimizerPart: {
        "adam": "qcade.agent.optimizers:Adam",
        "radam": "qcade.agent.optimizers:RAdam",
    },
    TargetNetwork: {
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
"""A module and a class of it."""
LONGEST_KIND = 300


def kind_of(cls: type) -> str | None:
    """The name of a part's class on disk; None where its field allows no other class."""
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
    """The class that a kind names for an interface; QcadeError says which kinds there are.

    Only classes of qcade, or of modules that are imported already, are found: opening a
    stranger's file must not run their code.
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
    is_whole = isinstance(cls, type) and dataclasses.is_dataclass(cls)
    if not is_whole or inspect.isabstract(cls) or not issubclass(cls, interface):
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
    """The kinds of an interface that are part of qcade, sorted."""
    if interface in TABLES:
        return tuple(sorted(TABLES[interface]))
    folder = FOLDERS[interface]
    return tuple(
        kind
        for kind in _files(folder)
        if _class_in(f"{folder}.{kind.replace('-', '_')}", interface) is not None
    )


def _choices(interface: type) -> str:
    return f"use one of {', '.join(kinds(interface))}, or module:Class of your own"


def _files(folder: str) -> tuple[str, ...]:
    """The names of a folder's files as kinds; not every one holds a part."""
    path = importlib.import_module(folder).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    return tuple(name.replace("_", "-") for name in names)


def _class_in(module_name: str, interface: type) -> Any:
    """The one part of an interface that a file defines; None if it is a file of another kind."""
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
