"""Errors of runs that cannot continue, and the tracebacks that are saved for the user."""

from __future__ import annotations

import contextlib
import datetime
import traceback
from collections.abc import Sequence

from qcade.runs.layout import ENVIRONMENT_ERRORS_FILE
from qcade.runs.reading.run import Run
from qcade.shell import command_line
from qcade.types import EnvironmentFailed, NotFinite, RunFailed


def environment_failed(
    failure: EnvironmentFailed, run: Run, frames: int, options: Sequence[str]
) -> EnvironmentFailed:
    """Return an error with the environment, the frame, and how to resume with `options`."""
    traceback_note = _save_traceback(failure, run)
    resume = command_line("resume", run.path, *options)
    saved = f"everything up to that frame is saved; continue with `{resume}`"
    if not run.frames():
        saved = "nothing had been played yet"
    return EnvironmentFailed(
        f"{failure}, at frame {frames:,} of {run.path}; {saved}{traceback_note}"
    )


def updates_failed(failure: NotFinite, run: Run, frames: int) -> RunFailed:
    """Return an error with the number that was not finite, the frame, and a remedy."""
    saved = run.frames()
    where = f"{failure}; training of {run.path} stopped at frame {frames:,}"
    if not saved:
        return RunFailed(f"{where}. Start again with other settings, such as a smaller step size")
    fork = command_line("fork", run.path, "--optimizer.learning-rate")
    return RunFailed(
        f"{where}. Its last checkpoint, at frame {saved:,}, is intact: continue from there with "
        f"other settings, such as a smaller step size: `{fork} ...`"
    )


def _save_traceback(failure: EnvironmentFailed, run: Run) -> str:
    """Append the environment's traceback to a file of the run; return a phrase with its path."""
    if failure.__cause__ is None:
        return ""
    file = run.path / ENVIRONMENT_ERRORS_FILE
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError), open(file, "a", encoding="utf-8") as log:
        log.write(f"{now} {failure}\n")
        log.writelines(traceback.format_exception(failure.__cause__))
        return f"; its traceback is in {file}"
    return ""
