"""Ctrl-C while nothing has begun yet, and when everything is done: the process just ends.

Imports hardly anything: until it is loaded, Ctrl-C is a traceback.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

INTERRUPTED = 130
"""Exit code of what was interrupted at once, as shells have it."""


class QuitAtOnce:
    """A context in which Ctrl-C ends the process, for while modules load.

    An exception would come out in the middle of any of them, or be lost in a callback. SIGINT stays
    as it is where it is ignored, as in background jobs of a shell, or belongs to somebody else.
    """

    def __init__(self) -> None:
        self._is_on = False

    def __enter__(self) -> None:
        self._is_on = _replace_python_handler(_quit)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._is_on:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def quit_from_now_on(code: int) -> None:
    """Let Ctrl-C end the process with this exit code, for all its work is done."""
    _replace_python_handler(lambda number, frame: os._exit(code))


def _quit(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, b"\nqcade: quit before anything was started\n")
    finally:
        os._exit(INTERRUPTED)


def _replace_python_handler(handler: signal._HANDLER) -> bool:
    """Take SIGINT over from Python; False where it is not Python's, or this no main thread."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:
        return False
    return True
