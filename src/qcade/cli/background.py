"""The commands for runs in the background: `runs`, `attach` and `stop`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from qcade.background.attaching import attach as watch
from qcade.background.processes import detach as start
from qcade.background.processes import next_step, resume_crashed
from qcade.background.processes import stop as stop_run
from qcade.cli.reading_options import read_options
from qcade.cli.terminal import (
    RUNS,
    RunPath,
    errors,
    offer,
    own_modules,
    print_error,
    print_json,
    print_table,
    screen,
)
from qcade.runs.reading.status import RunStatus, find_runs, read_all, to_json
from qcade.shell import argument, duration, shown
from qcade.types import QcadeError


@dataclass(frozen=True)
class RunsOptions:
    """List the runs of a folder: state, progress, speed, score and time left."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="[FOLDER]")] = RUNS
    """The folder to search."""
    json: bool = False
    """Print a JSON list instead of a table."""


def show_runs(words: list[str]) -> int:
    """List runs with their state, progress, speed and score; return the exit code."""
    options = read_options(RunsOptions, "runs", words)
    runs, problems = read_all(find_runs(options.folder))
    if options.json:
        print_json([to_json(run) for run in runs], indent=2)
    elif runs:
        print_table(_table_of(runs))
    else:
        screen.print(f"There are no runs in {shown(options.folder)}.")
    for problem in problems:
        print_error(problem)
    return 0


@dataclass(frozen=True)
class AttachOptions:
    """Watch a run that trains elsewhere until it ends; Ctrl-C leaves the run alone."""

    run: RunPath
    """The run directory."""


def attach(words: list[str]) -> int:
    """Watch a run that trains elsewhere; return the exit code. Ctrl-C leaves the run alone."""
    path = read_options(AttachOptions, "attach", words).run
    try:
        screen.print(shown(f"{path}: {next_step(watch(path, screen), own_modules)}"))
    except KeyboardInterrupt:
        screen.print(f"Left; the run continues. `{offer('stop', path)}` stops it.")
    return 0


@dataclass(frozen=True)
class StopOptions:
    """Ask a run to save a checkpoint and stop, and wait until it has."""

    run: RunPath
    """The run directory."""


def stop(words: list[str]) -> int:
    """Ask a run to save a checkpoint and stop; return the exit code."""
    path = read_options(StopOptions, "stop", words).run
    screen.print(shown(f"{path}: {next_step(stop_run(path), own_modules)}"))
    return 0


def detach(path: Path, fresh_memory: bool = False, rom: Path | None = None) -> None:
    """Start a run in the background, and print the commands to watch and stop it."""
    options = ["--fresh-memory"] if fresh_memory else []
    if rom is not None:
        options += ["--rom", argument(rom)]
    pid = start([*own_modules, "resume", argument(path), *options], path)
    screen.print(
        f"{shown(path)} trains in the background as process {pid}; the terminal can be closed.\n"
        f"  {offer('attach', path)}\n  {offer('stop', path)}\n  {offer('runs')}"
    )


def resume_all(folder: Path) -> None:
    """Resume every run that crashed, in the background; QcadeError if that fails for one."""
    failed = 0
    for run in resume_crashed(folder, own_modules):
        name = shown(run.path)
        if run.problem is not None:
            failed += 1
            errors.print(f"{name}: not resumed: {shown(run.problem)}", style="red")
        elif run.pid is not None:
            screen.print(f"{name}: resumed as process {run.pid}")
        else:
            screen.print(f"{name}: left alone, {run.state}")
    if failed:
        raise QcadeError(f"{failed} of the runs in {folder} could not be resumed")


def _table_of(runs: list[RunStatus]) -> Table:
    """Return a table of runs, one row each."""
    table = Table("run", "state", box=None, pad_edge=False)
    for title in ("progress", "frames", "frames/s", "score", "time left"):
        table.add_column(title, justify="right")
    for run in runs:
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
