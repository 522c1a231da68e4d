"""The progress of runs, read from their folders alone: training does not know its viewers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qcade.checks import number_or_none
from qcade.files.whole import read_json
from qcade.runs.layout import PROGRESS_FILE, RECIPE_FILE
from qcade.runs.lock import holder
from qcade.runs.reading.run import open_run
from qcade.types import JSON, LARGEST_WHOLE_NUMBER, QcadeError

RunState = Literal["running", "finished", "stopped", "crashed"]


@dataclass(frozen=True)
class RunStatus:
    """The state and progress of a run."""

    path: Path
    """Its folder."""
    game: str
    """Name of the game."""
    recipe: str
    """The recipe's name."""
    state: RunState
    """Crashed means that it exited unexpectedly: an error, a kill, a power cut or a shutdown."""
    frames: int
    """Emulator frames so far; of a run that is not running, the saved ones."""
    total_frames: int
    """Length of the whole run in emulator frames."""
    frames_per_second: float | None
    """Over the last 30 seconds; None unless it runs."""
    mean_score: float | None
    """Mean of the last 20 games, or None before the first."""
    seconds_left: float | None
    """Estimated from that speed; None unless it runs."""


def status(run_path: Path) -> RunStatus:
    """Read the state and progress of a run; QcadeError if there is no run."""
    directory = open_run(run_path)
    # The recipe is read as plain JSON, so that a run with custom classes can be listed too.
    recipe = read_json(directory.recipe_file)
    is_running = holder(run_path) is not None
    # Read after the lock: a run writes its final progress before it releases the lock.
    progress = _progress(run_path)
    total_frames = recipe.get("total_frames")
    if not isinstance(total_frames, int) or not 0 <= total_frames <= LARGEST_WHOLE_NUMBER:
        raise QcadeError(f"{directory.recipe_file}: total_frames is not a whole number")
    frames = int(_number(progress, "frames") or 0) if is_running else directory.frames()
    rate = _number(progress, "frames_per_second") if is_running else None
    return RunStatus(
        run_path,
        _game(recipe),
        str(recipe.get("name", "?")),
        _state(is_running, frames, total_frames, progress),
        frames,
        total_frames,
        rate,
        _number(progress, "mean_score"),
        (total_frames - frames) / rate if rate else None,
    )


def find_runs(folder: Path) -> list[Path]:
    """Return all runs in a folder and below, by name; QcadeError if there is no such folder."""
    if not folder.is_dir():
        raise QcadeError(f"there is no folder {folder}: `qcade train pong` makes a first run")
    return list(_runs_below(folder))


def read_all(paths: list[Path]) -> tuple[list[RunStatus], list[str]]:
    """Return the status of every run that can be read, and a sentence for each of the others."""
    statuses: list[RunStatus] = []
    problems: list[str] = []
    for path in paths:
        try:
            statuses.append(status(path))
        except QcadeError as error:
            problems.append(str(error))
    return statuses, problems


def to_json(run: RunStatus) -> dict[str, JSON]:
    """Return a status as plain JSON."""
    return {**dataclasses.asdict(run), "path": str(run.path)}


def _state(is_running: bool, frames: int, total_frames: int, progress: dict[str, JSON]) -> RunState:
    if is_running:
        return "running"
    if frames >= total_frames:
        return "finished"
    return "stopped" if progress.get("state") == "stopped" else "crashed"


def _runs_below(folder: Path) -> Iterator[Path]:
    try:
        is_run = (folder / RECIPE_FILE).is_file()
        inner = [] if is_run else [each for each in folder.iterdir() if each.is_dir()]
    except PermissionError:
        # A folder of another user, so it holds no run of this one.
        return
    if is_run:
        yield folder
    for each in sorted(inner, key=_natural_order):
        if not each.name.startswith("."):
            yield from _runs_below(each)


def _natural_order(path: Path) -> list[tuple[int, str]]:
    return [(int(p), "") if p.isdecimal() else (0, p) for p in re.split(r"(\d+)", path.name)]


def _game(recipe: dict[str, JSON]) -> str:
    game = recipe.get("game")
    if not isinstance(game, dict):
        return "?"
    kind = str(game.get("kind")).rpartition(":")[2]
    return str(game.get("game") or game.get("env_id") or kind.lower())


def _progress(run_path: Path) -> dict[str, JSON]:
    try:
        return read_json(run_path / PROGRESS_FILE)
    except QcadeError:
        return {}


def _number(progress: dict[str, JSON], name: str) -> float | None:
    return number_or_none(progress.get(name))
