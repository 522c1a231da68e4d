"""From a run directory to an agent that plays."""

from __future__ import annotations

from pathlib import Path

from qcade.agent.agent import Agent
from qcade.runs.checkpoint import (
    best_checkpoint,
    checkpoint_name,
    list_checkpoints,
    load_weights,
)
from qcade.runs.directory import RunDirectory, open_run
from qcade.types import QcadeError


def choose_checkpoint(directory: RunDirectory, wanted: str) -> Path:
    """Find a checkpoint by newest, best or its frame number; QcadeError lists those there are."""
    newest = directory.newest_checkpoint()
    if wanted == "newest":
        return newest
    if wanted == "best":
        return best_checkpoint(directory.checkpoints) or newest
    found = list_checkpoints(directory.checkpoints)
    for path in found:
        if wanted.replace("_", "").isdigit() and path.name == checkpoint_name(int(wanted)):
            return path
    known = ", ".join(str(int(path.name)) for path in found)
    raise QcadeError(f'no checkpoint "{wanted}": use newest, best or one of {known}')


def load_agent(run: Path, checkpoint: str = "newest") -> Agent:
    """Load the agent of a run; the game tells how many actions it has."""
    directory = open_run(run)
    recipe = directory.recipe()
    weights = load_weights(choose_checkpoint(directory, checkpoint))
    environments = recipe.game.open(1, 0, 1)
    actions = len(environments.action_meanings)
    environments.close()
    return Agent(recipe, weights, actions)
