"""From a run directory to an agent that plays."""

from __future__ import annotations

import numbers
import os
import re
from pathlib import Path

from qcade.agent.agent import Agent
from qcade.games.opening import open_game
from qcade.machine import resolve, torch_threads
from qcade.runs.checkpoint import (
    best_checkpoint,
    list_checkpoints,
    load_weights,
)
from qcade.runs.directory import RunDirectory, open_run
from qcade.types import QcadeError


def choose_checkpoint(directory: RunDirectory, wanted: str | int) -> Path:
    """Find a checkpoint by newest, best or its frame number; QcadeError lists those there are."""
    if isinstance(wanted, numbers.Integral) and not isinstance(wanted, bool):
        # NumPy's whole numbers too.
        wanted = str(int(wanted))
    newest = directory.newest_checkpoint()
    if wanted == "newest":
        return newest
    if wanted == "best":
        return best_checkpoint(directory.checkpoints) or newest
    found = list_checkpoints(directory.checkpoints)
    digits = re.sub(r"[_,]", "", wanted) if isinstance(wanted, str) else ""
    for path in found:
        # Compared as texts: not all that counts as a digit is a number.
        if digits and path.name == digits.zfill(len(path.name)):
            return path
    known = ", ".join(str(int(path.name)) for path in found)
    said = f'"{wanted}"' if isinstance(wanted, str) else repr(wanted)
    raise QcadeError(f"no checkpoint {said}: use newest, best or one of {known}")


def load_agent(
    run: str | Path, checkpoint: str | int = "newest", rom: str | Path | None = None
) -> Agent:
    """Load the agent of a run; the game tells how many actions it has.

    `rom` is where the run's ROM is now; None to look for it by its checksum.
    """
    directory = open_run(_path(run, "run"), None if rom is None else _path(rom, "rom"))
    recipe = directory.recipe()
    # PyTorch's threads do not survive a fork: none are started that the run does without.
    with torch_threads(resolve(recipe.compute).threads):
        weights = load_weights(choose_checkpoint(directory, checkpoint))
        environments = open_game(recipe.game, 1, 0, 1)
        actions = len(environments.action_meanings)
        environments.close()
        return Agent(recipe, weights, actions)


def _path(given: str | Path, name: str) -> Path:
    if not isinstance(given, (str, os.PathLike)):
        raise QcadeError(f"{name} is {given!r}: use a path, as text or a Path")
    return Path(given)
