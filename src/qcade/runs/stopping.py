"""Requests to save and stop a run: by Ctrl-C, by a signal, or by a file from another process.

Shutdowns and schedulers send SIGTERM, Slurm sends SIGUSR1 before it ends a job, and a terminal
that is closed sends SIGHUP.
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

from qcade.runs.layout import STOP_REQUEST_FILE

SECONDS_BETWEEN_CHECKS = 0.5


class Stopped(Exception):  # noqa: N818
    """A stop was requested, and there is nothing to save."""


class StopRequest:
    """A request to save and stop a run, which the training loop checks for between events."""

    def __init__(self, run_path: Path) -> None:
        self.is_by_system = False
        """Whether it came by a signal other than SIGINT: from a shutdown, scheduler or terminal."""
        self._file = run_path / STOP_REQUEST_FILE
        self._made = False
        self._next_check = 0.0

    @property
    def made(self) -> bool:
        """Whether the run should save and stop."""
        now = time.monotonic()
        if not self._made and now >= self._next_check:
            self._next_check = now + SECONDS_BETWEEN_CHECKS
            # A file works the same on every system; Windows has no signal for this.
            self._made = self._file.exists()
        return self._made

    def check(self) -> None:
        """Raise Stopped if the run should stop; for work that changes nothing on disk."""
        if self.made:
            raise Stopped

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal as the request; the next SIGINT then quits at once."""
        if number != signal.SIGINT:
            # Only the first signal counts: a shutdown may send several, also after Ctrl-C.
            self.is_by_system = self.is_by_system or not self._made
        if number == getattr(signal, "SIGHUP", None):
            _silence_closed_terminal()
        self._made = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _silence_closed_terminal() -> None:
    """Discard what is printed from now on: writing to a closed terminal would fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # A closed terminal is no longer a TTY, but still a character device, unlike files.
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                os.dup2(null, stream.fileno())
    os.close(null)


@contextlib.contextmanager
def stop_requests(run_path: Path) -> Iterator[StopRequest]:
    """Handle the first SIGINT, SIGTERM, SIGUSR1 or SIGHUP as a stop request; a second SIGINT quits.

    SIGHUP, which a terminal sends when it is closed, stays ignored if it is already (nohup).
    """
    request = StopRequest(run_path)
    signals = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32":
        signals.append(signal.SIGUSR1)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signals.append(signal.SIGHUP)
    before = {number: signal.signal(number, request.ask) for number in signals}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
