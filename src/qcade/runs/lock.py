"""One writer per run: a file lock that the kernel releases however its process ends."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from qcade.files.json_text import json_text, parse_json_object
from qcade.files.whole import writing_to
from qcade.runs.layout import LOCK_FILE, STOP_REQUEST_FILE
from qcade.shell import command_line
from qcade.types import QcadeError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

CONTENT_BYTES = 512
"""Written in one call and always at this length, so that no process reads part of it."""
LOCKED_BYTE = 2**30
"""On Windows a locked byte cannot be read, so one far beyond the content is locked."""
LARGEST_PID = 2**31 - 1
ATTEMPTS = 50
SECONDS_BETWEEN_ATTEMPTS = 0.02


@dataclass(frozen=True)
class Holder:
    """The process that writes a run."""

    pid: int
    """Process id on its host; 0 if it could not be read."""
    host: str
    """Name of the machine or container it runs on."""
    started: str
    """When it locked the run, in UTC."""

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return self.host == platform.node()

    def __str__(self) -> str:
        return f"process {self.pid} (host {self.host})"


@contextlib.contextmanager
def hold(run_path: Path) -> Iterator[None]:
    """Lock a run for writing; QcadeError names the process that has locked it already."""
    path = run_path / LOCK_FILE
    if path.is_dir():
        raise QcadeError(f"{path} is a folder where a file belongs: move it away")
    with writing_to(run_path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # A viewer that looks for the holder has a shared lock for an instant.
        if not any(_attempts(lambda: _lock(descriptor, path, shared=False))):
            raise being_written(run_path, holder(run_path))
        with writing_to(run_path):
            _write(descriptor)
            # A stop request for the previous process does not concern this one.
            (run_path / STOP_REQUEST_FILE).unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def holder(run_path: Path) -> Holder | None:
    """Return the process that is writing a run; None if there is none."""
    path = run_path / LOCK_FILE
    latest = Holder(0, "unknown", "")
    for free in _attempts(lambda: _is_free(path)):
        if free:
            return None
        latest = _read(path) or latest
        # Otherwise its writer has just started, or another viewer is looking at this instant.
        if latest.pid and (not latest.is_here or psutil.pid_exists(latest.pid)):
            return latest
    return latest


def being_written(run_path: Path, by: Holder | None) -> QcadeError:
    """Return the error for a second writer of a run."""
    return QcadeError(
        f"{run_path} is being written by {by or 'another process'}: watch it with "
        f"`{command_line('attach', run_path)}`, or stop it with `{command_line('stop', run_path)}`"
    )


def _attempts(attempt: Callable[[], bool]) -> Iterator[bool]:
    for number in range(ATTEMPTS):
        if number:
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        yield attempt()


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise QcadeError(f"{path} cannot be read: {error}") from None
    try:
        return _lock(descriptor, path, shared=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, *, shared: bool) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise QcadeError(
            f"the file system of {path} has no file locks ({error.strerror}), so two processes "
            "could write one run: choose an --out on another disk"
        ) from error
    return True


def _write(descriptor: int) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = json_text(asdict(Holder(os.getpid(), platform.node(), now)), LOCK_FILE)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, content.ljust(CONTENT_BYTES - 1).encode() + b"\n")


def _read(path: Path) -> Holder | None:
    try:
        data = parse_json_object(path.read_bytes(), str(path))
    except (OSError, QcadeError):
        return None
    pid = data.get("pid")
    if not isinstance(pid, int) or not 0 < pid <= LARGEST_PID:
        return None
    return Holder(pid, str(data.get("host", "unknown")), str(data.get("started", "")))
