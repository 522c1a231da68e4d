"""Runs that go on without a terminal: starting them, stopping them, taking them up again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcade.background.status import RunState, RunStatus, find_runs, status
from qcade.files.whole import writing_to
from qcade.runs.directory import open_run
from qcade.runs.layout import check_layout
from qcade.runs.lock import STOP_REQUEST_FILE, being_written, holder
from qcade.runs.progress_file import PROGRESS_FILE
from qcade.shell import argument, command_line
from qcade.types import QcadeError

OUTPUT_FILE = "output.log"
SECONDS_BETWEEN_LOOKS = 0.1
LAST_LINES = 5
STARTED = (0, 75)
"""Exit codes of a run that is over already: complete, or saved when somebody stopped it."""


def detach(words: list[str], run_path: Path) -> int:
    """Start `qcade WORDS`, which writes that run, in a process that outlives the terminal.

    Returns its number as soon as it has the run and has loaded what it goes on from. Raises
    QcadeError with what it said if it fails before that.
    """
    found = holder(run_path)
    if found is not None:
        raise being_written(run_path, found)
    check_layout(run_path)
    log = run_path / OUTPUT_FILE
    before = _progress_written(run_path)
    with writing_to(run_path), open(log, "ab") as output:
        said_before = output.tell()
        process = _start([sys.executable, "-m", "qcade", *words], output.fileno())
    while (found := holder(run_path)) is None or _progress_written(run_path) == before:
        code = process.poll()
        if code not in (None, *STARTED):
            raise QcadeError(f"the run did not start: {_last_lines(log, said_before)}")
        if code is not None:
            return process.pid
        time.sleep(SECONDS_BETWEEN_LOOKS)
    # It is meant to outlive us: nobody will wait for it.
    process.returncode = 0
    return found.pid


def stop(run_path: Path) -> RunStatus:
    """Ask the process that writes a run to save and stop; wait until it has."""
    open_run(run_path)
    found = holder(run_path)
    if found is None:
        now = status(run_path)
        raise QcadeError(f"{run_path} does not run: {what_next(now)}")
    if not found.is_here:
        raise QcadeError(f"{run_path} is being written by {found}: use `qcade stop` on that host")
    request = run_path / STOP_REQUEST_FILE
    with writing_to(run_path):
        request.touch()
    while holder(run_path) == found:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    request.unlink(missing_ok=True)
    return status(run_path)


@dataclass(frozen=True)
class TakenUp:
    """What `resume_all` did about one run."""

    path: Path
    """The run."""
    state: RunState | None
    """What it was before; None if that could not be read."""
    pid: int | None = None
    """The process that it was given, if it was taken up."""
    problem: str | None = None
    """Why it could not be taken up, if it could not."""


def resume_all(folder: Path, leading_words: list[str]) -> Iterator[TakenUp]:
    """Continue in the background every run below `folder` that exited unexpectedly."""
    for path in find_runs(folder):
        state: RunState | None = None
        try:
            state = status(path).state
            if state == "crashed":
                words = [*leading_words, "resume", argument(path)]
                yield TakenUp(path, state, detach(words, path))
            else:
                yield TakenUp(path, state)
        except QcadeError as error:
            yield TakenUp(path, state, problem=str(error))


def what_next(run: RunStatus, leading_words: Sequence[str] = ()) -> str:
    """A sentence on what a run is, and what can be typed next, after `qcade LEADING_WORDS`."""

    def offer(command: str) -> str:
        return command_line(*leading_words, command, run.path)

    where = f"{run.frames:,} of {run.total_frames:,} frames"
    if run.state == "finished":
        return f"it is finished ({where}); `{offer('evaluate')}` plays with its agent"
    if run.state == "running":
        return f"it is running ({where}); `{offer('attach')}` shows its progress"
    log = run.path / OUTPUT_FILE
    said = f"; see {log}" if run.state == "crashed" and log.exists() else ""
    return f"it {run.state} at {where}{said}; `{offer('resume')}` continues"


def _start(command: list[str], output: int) -> subprocess.Popen[bytes]:
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # Each of the two says nothing on the other system.
        creationflags=flags,
        start_new_session=True,
    )


def _progress_written(run_path: Path) -> tuple[int, int] | None:
    """What tells one writing of progress.json from another; None if there is none."""
    try:
        found = (run_path / PROGRESS_FILE).stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino


def _last_lines(log: Path, from_byte: int) -> str:
    lines = log.read_bytes()[from_byte:].decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-LAST_LINES:]) or f"it said nothing (see {log})"
