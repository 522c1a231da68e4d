"""Standard output and standard error that never raise: a full disk or a reader that left is noted.

Work must not end because nobody reads what it prints; what could not be printed is told at the end.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal, TextIO


class StandardStream(io.TextIOBase):
    """What `sys.stdout` or `sys.stderr` is, for whoever prints; prints nowhere after a failure."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self.failure: OSError | None = None
        """Why something could not be written, if it could not."""
        self._name: Literal["stdout", "stderr"] = name
        self._is_in_place = False
        self._kept: TextIO | None = None

    @property
    def reader_left(self) -> bool:
        """Whether writing failed because nobody reads any more, as after `| head`."""
        closed = {errno.EPIPE, errno.EINVAL} if sys.platform == "win32" else {errno.EPIPE}
        return self.failure is not None and self.failure.errno in closed

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream; UTF-8 if it has none."""
        return getattr(self._stream(), "encoding", None) or "utf-8"

    @contextlib.contextmanager
    def in_place(self, others_print_to: StandardStream | None = None) -> Iterator[None]:
        """Stand in for the stream that `sys` has, failures forgotten, while a command runs.

        With `others_print_to` whatever prints to the stream, but not through this object, prints
        there instead. What the encoding lacks is written as `\\u20ac`.
        """
        before: TextIO | None = getattr(sys, self._name)
        if isinstance(before, io.TextIOWrapper):
            before.reconfigure(errors="backslashreplace")
        self.failure, self._kept, self._is_in_place = None, before, True
        setattr(sys, self._name, others_print_to or self)
        try:
            yield
        finally:
            self._is_in_place = False
            setattr(sys, self._name, before)

    def write(self, text: str) -> int:
        """Write text, unless writing has failed before."""
        if self.failure is None:
            with self._noting_failure():
                stream = self._stream()
                if stream is None:
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what is pending, unless writing has failed before."""
        stream = self._stream()
        if self.failure is None and stream is not None:
            with self._noting_failure():
                stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        stream = self._stream()
        return stream is not None and stream.isatty()

    def fileno(self) -> int:
        """The descriptor; OSError if there is none."""
        stream = self._stream()
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return stream.fileno()

    def writable(self) -> bool:
        """It can always be written to."""
        return True

    def __getattr__(self, name: str) -> Any:
        # Such as `buffer`, for whoever takes this for the stream of `sys`.
        return getattr(self._stream(), name)

    def _stream(self) -> TextIO | None:
        if self._is_in_place:
            return self._kept
        stream: TextIO | None = getattr(sys, self._name)
        # A live display of Rich stands before the stream, and would print through this object.
        return getattr(stream, "rich_proxied_file", stream)

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            # Python would try to write what is pending once more when it ends.
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                try:
                    os.dup2(nowhere, self.fileno())
                finally:
                    os.close(nowhere)


def open_missing_streams() -> None:
    """Fill the places of closed standard streams, which the next file would get instead.

    Whoever prints to standard error, as emulators do, would write into that file. Writing to a
    standard output that was closed still fails.
    """
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            if descriptor and getattr(sys, "stdout" if descriptor == 1 else "stderr") is None:
                stream = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
                setattr(sys, "stdout" if descriptor == 1 else "stderr", stream)
