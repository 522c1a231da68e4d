"""Train, watch, resume, verify and compare Atari agents of the DQN family.

for event in qcade.train(qcade.make_recipe("dqn", "pong")): ...
agent = qcade.load("runs/pong-dqn-1")
"""

from __future__ import annotations

import os

# How often PyTorch's threads on Linux check for work before they sleep; PyTorch reads it on import.
# At the default, 300,000, an update takes five times as long next to a busy program, because a
# spinning thread blocks the core that another one needs. Much lower, waking up costs time.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Not from `typing`, which takes longer to import than everything else in this file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from qcade.agent.agent import Agent
    from qcade.events import (
        Advanced,
        CheckpointDue,
        Episode,
        Evaluated,
        EvaluationDue,
        Event,
        Started,
        Updated,
    )
    from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
    from qcade.recipes import make_recipe, recipe_names
    from qcade.training.loop import train
    from qcade.types import QcadeError

__all__ = [
    "Advanced",
    "Agent",
    "CheckpointDue",
    "Episode",
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

    If the run used your own ROM file and it was moved, it is found by its checksum near the run;
    otherwise pass `rom`. Raises QcadeError if there is no such run or checkpoint, or it is damaged.
    """
    from qcade.runs.loading import load_agent

    return load_agent(run, checkpoint, rom)


# Imported on first use: PyTorch takes seconds, and `import qcade` alone should not.
_MODULES = {
    "Advanced": "events",
    "Agent": "agent.agent",
    "CheckpointDue": "events",
    "Episode": "events",
    "Evaluated": "events",
    "EvaluationDue": "events",
    "Event": "events",
    "OnPolicyRecipe": "recipe",
    "QcadeError": "types",
    "Recipe": "recipe",
    "ReplayRecipe": "recipe",
    "Started": "events",
    "Updated": "events",
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
        # Submodules too, so that `qcade.recipes.find_recipe` works after `import qcade` alone.
        module = f"{__name__}.{name}"
        is_module_name = name.isidentifier() and not name.startswith("_")
        if is_module_name and importlib.util.find_spec(module) is not None:
            return importlib.import_module(module)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
