"""Train, watch, resume, replay and compare Atari agents of the DQN family.

for event in qcade.train(qcade.make_recipe("dqn", "pong")): ...
agent = qcade.load("runs/pong-dqn-1")
"""

from __future__ import annotations

import os
from pathlib import Path

# How often PyTorch's threads on Linux look for work before they sleep, read once, when PyTorch is
# loaded. At its default, 300,000, an update takes five times as long beside a busy program, because
# a thread that spins keeps the core from the one it waits for; shorter, updates pay for waking up.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from qcade.agent.agent import Agent
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.recipes import make_recipe, recipe_names
from qcade.training.events import (
    Advanced,
    CheckpointDue,
    EpisodeEnded,
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


def load(run: str | Path, checkpoint: str = "newest") -> Agent:
    """Load a trained agent from a run directory; `checkpoint` is newest, best or a frame number.

    Raises QcadeError if there is none or it is damaged.
    """
    from qcade.runs.loading import load_agent

    return load_agent(Path(run), checkpoint)
