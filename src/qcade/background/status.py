"""How runs are getting on, read from their folders alone: the trainer knows of no viewer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from qcade.checks import number_or_none
from qcade.files.whole import read_json
from qcade.runs.directory import open_run
from qcade.runs.lock import holder
from qcade.runs.progress_file import PROGRESS_FILE
from qcade.runs.writers import duration
from qcade.shell import shown
from qcade.types import JSON, LARGEST_WHOLE_NUMBER, QcadeError

RunState = Literal["running", "finished", "stopped", "crashed"]


@dataclass(frozen=True)
class RunStatus:
    """Where a run is."""

    path: Path
    """Its folder."""
    game: str
    """What is played."""
    recipe: str
    """The recipe's name."""
    state: RunState
    """Crashed means that it exited unexpectedly: an error, a kill, a power cut or a shutdown."""
    frames: int
    """Emulator frames so far; of a run that does not run, those that are saved."""
    total_frames: int
    """Length of the whole run in emulator frames."""
    frames_per_second: float | None
    """Over the last 30 seconds; None unless it runs."""
    mean_score: float | None
    """Mean of the last 20 games, or None before the first."""
    seconds_left: float | None
    """At that speed; None unless it runs."""


def status(run_path: Path) -> RunStatus:
    """Read how a run is getting on; QcadeError if there is no run."""
    directory = open_run(run_path)
    # The recipe is read as plain JSON: one with classes of the user's own can be listed too.
    recipe = read_json(directory.recipe_file)
    is_running = holder(run_path) is not None
    # After the lock: what an ending run writes last is there when the lock is free.
    progress = _progress(run_path)
    total_frames = recipe.get("total_frames")
    if not isinstance(total_frames, int) or not 0 <= total_frames <= LARGEST_WHOLE_NUMBER:
        raise QcadeError(f"{directory.recipe_file}: total_frames is no whole number")
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
    """All runs in a folder and below, by name; QcadeError if there is no such folder."""
    if not folder.is_dir():
        raise QcadeError(f"there is no folder {folder}: `qcade train pong` makes a first run")
    return list(_runs_below(folder))


def read_all(paths: list[Path]) -> tuple[list[RunStatus], list[str]]:
    """The status of every run that can be read, and a sentence for every one that cannot."""
    found: list[RunStatus] = []
    problems: list[str] = []
    for path in paths:
        try:
            found.append(status(path))
        except QcadeError as error:
            problems.append(str(error))
    return found, problems


def to_json(run: RunStatus) -> dict[str, JSON]:
    """A status as plain JSON."""
    return {**dataclasses.asdict(run), "path": str(run.path)}


def table_of(found: list[RunStatus]) -> Table:
    """A table of runs, one row each."""
    table = Table("run", "state", box=None, pad_edge=False)
    for title in ("progress", "frames", "frames/s", "score", "time left"):
        table.add_column(title, justify="right")
    for run in found:
        table.add_row(
            shown(run.path),
            run.state,
            f"{100 * run.frames / max(run.total_frames, 1):.1f}%",
            f"{run.frames:,}",
            "" if run.frames_per_second is None else f"{run.frames_per_second:,.0f}",
            "" if run.mean_score is None else f"{run.mean_score:,.1f}",
            "" if run.seconds_left is None else duration(run.seconds_left),
        )
    return table


def _state(is_running: bool, frames: int, total_frames: int, progress: dict[str, JSON]) -> RunState:
    if is_running:
        return "running"
    if frames >= total_frames:
        return "finished"
    return "stopped" if progress.get("state") == "stopped" else "crashed"


def _runs_below(folder: Path) -> Iterator[Path]:
    try:
        is_run = (folder / "recipe.json").is_file()
        inner = [] if is_run else [each for each in folder.iterdir() if each.is_dir()]
    except PermissionError:
        # Somebody else's folder, in which no run of ours is.
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
