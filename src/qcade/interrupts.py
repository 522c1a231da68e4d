"""Ctrl-C before anything has started and after everything is done: the process just exits.

Imports hardly anything, because until this module is loaded Ctrl-C prints a traceback.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

INTERRUPTED = 130
"""Exit code after Ctrl-C, by the convention of shells."""


class QuitAtOnce:
    """A context, used while modules are imported, in which Ctrl-C exits the process.

    A KeyboardInterrupt could break any import in the middle, or be lost in a callback. SIGINT stays
    unchanged if it is ignored, as in a shell's background jobs, or if another handler is set.
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
    """Let Ctrl-C exit the process with this code, since all its work is done."""
    _replace_python_handler(lambda number, frame: os._exit(code))


def _quit(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, b"\nqcade: quit before anything was started\n")
    finally:
        os._exit(INTERRUPTED)


def _replace_python_handler(handler: signal._HANDLER) -> bool:
    """Replace Python's SIGINT handler; False if another is set, or not in the main thread."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:
        return False
    return True
