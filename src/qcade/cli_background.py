"""The commands for leaving a run and coming back to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qcade.background.attaching import attach as watch
from qcade.background.processes import detach as start
from qcade.background.processes import resume_all as take_up
from qcade.background.processes import stop as stop_run
from qcade.background.processes import what_next
from qcade.background.status import find_runs, read_all, table_of, to_json
from qcade.reading_options import read_options
from qcade.shell import argument, shown
from qcade.terminal import (
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
from qcade.types import QcadeError


@dataclass(frozen=True)
class RunsOptions:
    """List the runs of a folder: state, progress, speed, score and time left."""

    folder: Annotated[Path, tyro.conf.Positional] = RUNS
    """Where to look."""
    json: bool = False
    """Print a JSON list instead of a table."""


def show_runs(words: list[str]) -> int:
    """List runs with their state, progress, speed and score; return the exit code."""
    options = read_options(RunsOptions, "runs", words)
    found, problems = read_all(find_runs(options.folder))
    if options.json:
        print_json([to_json(run) for run in found], indent=2)
    elif found:
        print_table(table_of(found))
    else:
        screen.print(f"There is no run in {shown(options.folder)}.")
    for problem in problems:
        print_error(problem)
    return 0


@dataclass(frozen=True)
class AttachOptions:
    """Watch a run that trains elsewhere until it ends; Ctrl-C leaves the run alone."""

    run: RunPath
    """The run directory."""


def attach(words: list[str]) -> int:
    """Watch a run that trains elsewhere, which leaving does not touch; return the exit code."""
    path = read_options(AttachOptions, "attach", words).run
    try:
        screen.print(shown(f"{path}: {what_next(watch(path, screen), own_modules)}"))
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
    screen.print(shown(f"{path}: {what_next(stop_run(path), own_modules)}"))
    return 0


def detach(path: Path, fresh_memory: bool = False, rom: Path | None = None) -> None:
    """Start a run in the background and say how to come back to it."""
    how = ["--fresh-memory"] if fresh_memory else []
    if rom is not None:
        how += ["--rom", argument(rom)]
    pid = start([*own_modules, "resume", argument(path), *how], path)
    screen.print(
        f"{shown(path)} trains in the background as process {pid}; the terminal can be closed.\n"
        f"  {offer('attach', path)}\n  {offer('stop', path)}\n  {offer('runs')}"
    )


def resume_all(folder: Path) -> None:
    """Continue every run that crashed; QcadeError if that fails for one."""
    failed = 0
    for run in take_up(folder, own_modules):
        name = shown(run.path)
        if run.problem is not None:
            failed += 1
            errors.print(f"{name}: not resumed: {shown(run.problem)}", style="red")
        elif run.pid is not None:
            screen.print(f"{name}: resumed as process {run.pid}")
        else:
            screen.print(f"{name}: left as it is, {run.state}")
    if failed:
        raise QcadeError(f"{failed} of the runs in {folder} could not be resumed")
