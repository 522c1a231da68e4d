"""Loading a trained agent from a run directory."""

from __future__ import annotations

import os
from pathlib import Path

from qcade.agent.agent import Agent
from qcade.compute.hardware import resolve, torch_threads
from qcade.games.opening import open_game
from qcade.runs.reading.run import open_run
from qcade.types import QcadeError


def load_agent(
    run: str | Path, checkpoint: str | int = "newest", rom: str | Path | None = None
) -> Agent:
    """Load the agent of a run from one of its checkpoints: newest, best or a frame number.

    `rom` is the current path of the run's ROM; None to search for it by its checksum. Raises
    QcadeError if the run, the checkpoint or the game cannot be opened.
    """
    directory = open_run(_path(run, "run"), None if rom is None else _path(rom, "rom"))
    recipe = directory.recipe()
    # PyTorch's threads do not survive a fork, so no more are started than the run uses.
    with torch_threads(resolve(recipe.compute).threads):
        weights = directory.weights(checkpoint)
        environments = open_game(recipe.game, 1, 0, 1)
        actions = len(environments.action_meanings)
        environments.close()
        return Agent(recipe, weights, actions)


def _path(value: str | Path, name: str) -> Path:
    if not isinstance(value, (str, os.PathLike)):
        raise QcadeError(f"{name} is {value!r}: use a path, as text or a Path")
    return Path(value)
