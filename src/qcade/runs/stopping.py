"""Asking a run to save and stop: by Ctrl-C, by a signal, or by a file from another process.

SIGTERM comes of shutdowns and schedulers, SIGUSR1 of Slurm before it ends a job, SIGHUP of a
terminal that is closed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from qcade.runs.lock import STOP_REQUEST_FILE

SECONDS_BETWEEN_LOOKS = 0.5


class Stopped(Exception):  # noqa: N818
    """Somebody asked for a stop where nothing is left to save."""


class StopRequest:
    """Whether somebody wants the run to save and stop; the loop looks between two events."""

    def __init__(self, run_path: Path) -> None:
        self.is_by_system = False
        """Whether it came by another signal than SIGINT: a shutdown, a scheduler, a terminal."""
        self._file = run_path / STOP_REQUEST_FILE
        self._made = False
        self._next_look = 0.0

    @property
    def made(self) -> bool:
        """Whether the run should save and stop."""
        now = time.monotonic()
        if not self._made and now >= self._next_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            # A file works the same on every system; Windows has no signal for this.
            self._made = self._file.exists()
        return self._made

    def check(self) -> None:
        """Raise Stopped if the run should stop; for work that changes nothing on disk."""
        if self.made:
            raise Stopped

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Take a signal as the request; a second interrupt will leave at once."""
        if number != signal.SIGINT:
            # A shutdown may give notice twice, and by both signals.
            self.is_by_system = self.is_by_system or not self._made
        if number == getattr(signal, "SIGHUP", None):
            _print_nowhere()
        self._made = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _print_nowhere() -> None:
    """Nobody reads a terminal that was closed, and writing to it would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # A closed terminal is a terminal no more, but still no file and no pipe.
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def stop_requests(run_path: Path) -> Iterator[StopRequest]:
    """Let the first SIGINT, SIGTERM, SIGUSR1 or SIGHUP ask for a stop; a second SIGINT quits.

    SIGHUP, of a terminal that was closed, is left alone where it was to be ignored (nohup).
    """
    request = StopRequest(run_path)
    notices = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32":
        notices.append(signal.SIGUSR1)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            notices.append(signal.SIGHUP)
    before = {number: signal.signal(number, request.ask) for number in notices}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
