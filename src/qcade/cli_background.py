"""The commands for leaving a run and coming back to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qcade.terminal import RUNS, RunPath, errors, own_modules, parse, print_table, screen
from qcade.types import QcadeError


@dataclass(frozen=True)
class RunsOptions:
    """List the runs of a folder: state, progress, speed, score and time left."""

    folder: Annotated[Path, tyro.conf.Positional] = RUNS
    """Where to look."""
    json: bool = False
    """Print a JSON list instead of a table."""


def show_runs(words: list[str]) -> None:
    """List runs with their state, progress, speed and score"""
    from qcade.background.status import find_runs, read_all, table_of, to_json

    options = parse(RunsOptions, "runs", words)
    found, problems = read_all(find_runs(options.folder))
    if options.json:
        print(json.dumps([to_json(run) for run in found], indent=2))
    elif found:
        print_table(table_of(found))
    else:
        screen.print(f"There is no run in {options.folder}.")
    for problem in problems:
        errors.print(f"qcade: {problem}", style="red", markup=False)


@dataclass(frozen=True)
class AttachOptions:
    """Watch a run that trains elsewhere until it ends; Ctrl-C leaves the run alone."""

    run: RunPath
    """The run directory."""


def attach(words: list[str]) -> None:
    """Watch a run that trains elsewhere; leaving does not touch it"""
    from qcade.background.attaching import attach as watch
    from qcade.background.processes import what_next

    path = parse(AttachOptions, "attach", words).run
    try:
        screen.print(f"{path}: {what_next(watch(path, screen))}")
    except KeyboardInterrupt:
        screen.print(f"Left; the run goes on. `qcade stop {path}` stops it.")


@dataclass(frozen=True)
class StopOptions:
    """Ask a run to save a checkpoint and stop, and wait until it has."""

    run: RunPath
    """The run directory."""


def stop(words: list[str]) -> None:
    """Ask a run to save a checkpoint and stop"""
    from qcade.background.processes import stop as stop_run
    from qcade.background.processes import what_next

    path = parse(StopOptions, "stop", words).run
    screen.print(f"{path}: {what_next(stop_run(path))}")


def detach(path: Path, fresh_memory: bool = False) -> None:
    """Start a run in the background and say how to come back to it."""
    from qcade.background.processes import detach as start

    how = ["--fresh-memory"] if fresh_memory else []
    pid = start([*own_modules, "resume", str(path), *how], path)
    screen.print(
        f"{path} trains in the background as process {pid}; the terminal can be closed.\n"
        f"  qcade attach {path}\n  qcade stop {path}\n  qcade runs"
    )


def resume_all(folder: Path) -> None:
    """Take up every run that crashed; QcadeError if that fails for one."""
    from qcade.background.processes import resume_all as take_up

    failed = 0
    for run in take_up(folder, own_modules):
        if run.problem is not None:
            failed += 1
            errors.print(f"{run.path}: not resumed: {run.problem}", style="red", markup=False)
        elif run.pid is not None:
            screen.print(f"{run.path}: resumed as process {run.pid}")
        else:
            screen.print(f"{run.path}: left as it is, {run.state}")
    if failed:
        raise QcadeError(f"{failed} of the runs in {folder} could not be resumed")
