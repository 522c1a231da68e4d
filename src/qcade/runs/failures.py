"""What a person is told when a run cannot continue, and the traceback that is kept for them."""

from __future__ import annotations

import contextlib
import datetime
import traceback
from collections.abc import Sequence

from qcade.runs.directory import RunDirectory
from qcade.shell import command_line
from qcade.types import EnvironmentFailed, NotFinite, RunFailed

ENVIRONMENT_ERRORS_FILE = "environment-errors.log"


def environment_failed(
    failure: EnvironmentFailed, run: RunDirectory, frames: int, options: Sequence[str]
) -> EnvironmentFailed:
    """Say which environment failed, at which frame, and how to continue with `options`."""
    kept = _keep_traceback(failure, run)
    resume = command_line("resume", run.path, *options)
    saved = f"everything up to there is saved, and `{resume}` continues"
    if not run.frames():
        saved = "nothing was played yet"
    return EnvironmentFailed(f"{failure}, at frame {frames:,} of {run.path}; {saved}{kept}")


def updates_failed(failure: NotFinite, run: RunDirectory, frames: int) -> RunFailed:
    """Say which number was not finite, at which frame, and what may help."""
    saved = run.frames()
    where = f"{failure}; training of {run.path} stopped at frame {frames:,}"
    if not saved:
        return RunFailed(f"{where}. Start again with other settings, such as a smaller step size")
    fork = command_line("fork", run.path, "--optimizer.learning-rate")
    return RunFailed(
        f"{where}. Its last checkpoint, at frame {saved:,}, is intact: continue from there with "
        f"other settings, such as a smaller step size: `{fork} ...`"
    )


def _keep_traceback(failure: EnvironmentFailed, run: RunDirectory) -> str:
    """Append the environment's own traceback to a file of the run; say where it is."""
    if failure.__cause__ is None:
        return ""
    file = run.path / ENVIRONMENT_ERRORS_FILE
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError), open(file, "a", encoding="utf-8") as log:
        log.write(f"{now} {failure}\n")
        log.writelines(traceback.format_exception(failure.__cause__))
        return f"; its traceback is in {file}"
    return ""
