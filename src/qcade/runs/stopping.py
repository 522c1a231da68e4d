"""Asking a run to save and stop: by Ctrl-C, by SIGTERM, or by a file from another process."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from qcade.runs.lock import STOP_REQUEST_FILE

SECONDS_BETWEEN_LOOKS = 0.5


class StopRequest:
    """Whether somebody wants the run to save and stop; the loop looks between two events."""

    def __init__(self, run_path: Path) -> None:
        self.is_by_system = False
        """Whether it came by SIGTERM: a shutdown or a scheduler, and no wish to end the run."""
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

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Take a signal as the request; a second interrupt will leave at once."""
        self.is_by_system = not self._made and number == signal.SIGTERM
        self._made = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def stop_requests(run_path: Path) -> Iterator[StopRequest]:
    """Let the first interrupt or SIGTERM ask for a stop, and the second interrupt leave at once."""
    request = StopRequest(run_path)
    before = {n: signal.signal(n, request.ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
