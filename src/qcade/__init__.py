"""Train, watch, resume, replay and compare Atari agents of the DQN family.

for event in qcade.train(qcade.make_recipe("dqn", "pong")): ...
agent = qcade.load("runs/pong-dqn-1")
"""

from __future__ import annotations

import os

# How often PyTorch's threads on Linux look for work before they sleep, read once, when PyTorch is
# loaded. At its default, 300,000, an update takes five times as long beside a busy program, because
# a thread that spins keeps the core from the one it waits for; shorter, updates pay for waking up.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# By name, since `typing` takes longer to load than everything else that is here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from qcade.agent.agent import Agent
    from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
    from qcade.recipes import make_recipe, recipe_names
    from qcade.training.events import (
        Advanced,
        CheckpointDue,
        EpisodeEnded,
        Evaluated,
        EvaluationDue,
        Event,
        Started,
        Updated,
    )
    from qcade.training.loop import train
    from qcade.types import QcadeError

__all__ = [
    "Advanced",
    "Agent",
    "CheckpointDue",
    "EpisodeEnded",
    "Evaluated",
    "EvaluationDue",
    "Event",
    "OnPolicyRecipe",
    "QcadeError",
    "Recipe",
    "ReplayRecipe",
    "Started",
    "Updated",
    "load",
    "make_recipe",
    "recipe_names",
    "train",
]


def load(run: str | Path, checkpoint: str | int = "newest", rom: str | Path | None = None) -> Agent:
    """Load a trained agent from a run directory; `checkpoint` is newest, best or a frame number.

    A ROM file of your own that was moved is found by its checksum near the run, or is named by
    `rom`. Raises QcadeError if there is no such run or checkpoint, or it is damaged.
    """
    from qcade.runs.loading import load_agent

    return load_agent(run, checkpoint, rom)


# Loaded when they are asked for: PyTorch takes seconds, which `import qcade` alone need not.
_MODULES = {
    "Advanced": "training.events",
    "Agent": "agent.agent",
    "CheckpointDue": "training.events",
    "EpisodeEnded": "training.events",
    "Evaluated": "training.events",
    "EvaluationDue": "training.events",
    "Event": "training.events",
    "OnPolicyRecipe": "recipe",
    "QcadeError": "types",
    "Recipe": "recipe",
    "ReplayRecipe": "recipe",
    "Started": "training.events",
    "Updated": "training.events",
    "make_recipe": "recipes",
    "recipe_names": "recipes",
    "train": "training.loop",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        import importlib.util

        if name in _MODULES:
            value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
            globals()[name] = value
            return value
        # The rooms too, as in `qcade.recipes.find_recipe` after `import qcade` alone.
        room = f"{__name__}.{name}"
        is_room = name.isidentifier() and not name.startswith("_")
        if is_room and importlib.util.find_spec(room) is not None:
            return importlib.import_module(room)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
