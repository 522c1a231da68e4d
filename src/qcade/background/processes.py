"""Processes of runs in the background: starting, stopping and resuming them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcade.files.whole import writing_to
from qcade.runs.layout import OUTPUT_FILE, PROGRESS_FILE, STOP_REQUEST_FILE, check_layout
from qcade.runs.lock import being_written, holder
from qcade.runs.reading.run import open_run
from qcade.runs.reading.status import RunState, RunStatus, find_runs, status
from qcade.shell import argument, command_line
from qcade.types import QcadeError

SECONDS_BETWEEN_CHECKS = 0.1
LAST_LINES = 5
ENDED_WELL = (0, 75)
"""Exit codes of a run that has ended already: complete, or saved after a stop request."""


def detach(words: list[str], run_path: Path) -> int:
    """Start `qcade WORDS`, which trains that run, in a process that outlives the terminal.

    Returns its process id once it has locked the run and loaded the checkpoint that it continues
    from. Raises QcadeError with its last lines of output if it fails before that.
    """
    writer = holder(run_path)
    if writer is not None:
        raise being_written(run_path, writer)
    check_layout(run_path)
    log = run_path / OUTPUT_FILE
    before = _progress_version(run_path)
    with writing_to(run_path), open(log, "ab") as output:
        output_start = output.tell()
        process = _start([sys.executable, "-m", "qcade", *words], output.fileno())
    while (writer := holder(run_path)) is None or _progress_version(run_path) == before:
        code = process.poll()
        if code not in (None, *ENDED_WELL):
            raise QcadeError(f"the run did not start: {_last_lines(log, output_start)}")
        if code is not None:
            return process.pid
        time.sleep(SECONDS_BETWEEN_CHECKS)
    # The process outlives this one: without a return code, Popen would warn that it still runs.
    process.returncode = 0
    return writer.pid


def stop(run_path: Path) -> RunStatus:
    """Ask the process that writes a run to save and stop; return the status once it has."""
    open_run(run_path)
    writer = holder(run_path)
    if writer is None:
        raise QcadeError(f"{run_path} is not running: {next_step(status(run_path))}")
    if not writer.is_here:
        raise QcadeError(f"{run_path} is being written by {writer}: use `qcade stop` on that host")
    request = run_path / STOP_REQUEST_FILE
    with writing_to(run_path):
        request.touch()
    while holder(run_path) == writer:
        time.sleep(SECONDS_BETWEEN_CHECKS)
    request.unlink(missing_ok=True)
    return status(run_path)


@dataclass(frozen=True)
class ResumeResult:
    """What `resume_crashed` did with one run."""

    path: Path
    """The run."""
    state: RunState | None
    """Its state before; None if that could not be read."""
    pid: int | None = None
    """Process id, if it was resumed."""
    problem: str | None = None
    """The error, if it could not be resumed."""


def resume_crashed(folder: Path, leading_words: list[str]) -> Iterator[ResumeResult]:
    """Resume, in the background, every run in `folder` and below that exited unexpectedly."""
    for path in find_runs(folder):
        state: RunState | None = None
        try:
            state = status(path).state
            if state == "crashed":
                words = [*leading_words, "resume", argument(path)]
                yield ResumeResult(path, state, detach(words, path))
            else:
                yield ResumeResult(path, state)
        except QcadeError as error:
            yield ResumeResult(path, state, problem=str(error))


def next_step(run: RunStatus, leading_words: Sequence[str] = ()) -> str:
    """Return a sentence with the state of a run and the command to use next.

    `leading_words` are put after `qcade` in that command.
    """

    def offer(command: str) -> str:
        return command_line(*leading_words, command, run.path)

    where = f"{run.frames:,} of {run.total_frames:,} frames"
    if run.state == "finished":
        return f"it is finished ({where}); `{offer('evaluate')}` plays with its agent"
    if run.state == "running":
        return f"it is running ({where}); `{offer('attach')}` shows its progress"
    log = run.path / OUTPUT_FILE
    see_log = f"; see {log}" if run.state == "crashed" and log.exists() else ""
    return f"it {run.state} at {where}{see_log}; `{offer('resume')}` continues"


def _start(command: list[str], output: int) -> subprocess.Popen[bytes]:
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # Each of these two options has no effect on the other system.
        creationflags=flags,
        start_new_session=True,
    )


def _progress_version(run_path: Path) -> tuple[int, int] | None:
    """Return a value that every write of progress.json changes; None if there is no such file."""
    try:
        info = (run_path / PROGRESS_FILE).stat()
    except FileNotFoundError:
        return None
    return info.st_mtime_ns, info.st_ino


def _last_lines(log: Path, from_byte: int) -> str:
    lines = log.read_bytes()[from_byte:].decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-LAST_LINES:]) or f"it printed nothing (see {log})"
