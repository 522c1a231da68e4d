"""Standard output and standard error that never raise: failures to write are noted instead.

Work must not end because its output has no reader or no space. The command reports the failure at
its end.
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
    """A stand-in for `sys.stdout` or `sys.stderr`, which discards output after a failure."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self.failure: OSError | None = None
        """The first error in writing, if any."""
        self._name: Literal["stdout", "stderr"] = name
        self._is_in_place = False
        self._kept: TextIO | None = None

    @property
    def reader_left(self) -> bool:
        """Whether writing failed because the reader has closed the pipe, as `| head` does."""
        closed = {errno.EPIPE, errno.EINVAL} if sys.platform == "win32" else {errno.EPIPE}
        return self.failure is not None and self.failure.errno in closed

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream; UTF-8 if it has none."""
        return getattr(self._stream(), "encoding", None) or "utf-8"

    @contextlib.contextmanager
    def in_place(self, others_print_to: StandardStream | None = None) -> Iterator[None]:
        """Replace the stream in `sys` while a command runs, and forget earlier failures.

        With `others_print_to`, everything that is printed to `sys`'s stream directly goes there
        instead. Characters that the encoding lacks are written as `\\u20ac`.
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
        """Write text, unless an earlier write failed."""
        if self.failure is None:
            with self._noting_failure():
                stream = self._stream()
                if stream is None:
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless an earlier write failed."""
        stream = self._stream()
        if self.failure is None and stream is not None:
            with self._noting_failure():
                stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        stream = self._stream()
        return stream is not None and stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor; OSError if there is none."""
        stream = self._stream()
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return stream.fileno()

    def writable(self) -> bool:
        """Return True: writing never fails."""
        return True

    def __getattr__(self, name: str) -> Any:
        # Such as `buffer`, for code that uses this as the stream of `sys`.
        return getattr(self._stream(), name)

    def _stream(self) -> TextIO | None:
        if self._is_in_place:
            return self._kept
        stream: TextIO | None = getattr(sys, self._name)
        # A live display of Rich wraps the stream, and would print through this object again.
        return getattr(stream, "rich_proxied_file", stream)

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            # Python would try to write pending output again when it exits.
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                try:
                    os.dup2(null, self.fileno())
                finally:
                    os.close(null)


def open_missing_streams() -> None:
    """Open closed standard streams, since the next opened file would get their descriptors.

    Output to standard error, such as that of emulators, would go into that file. Writing to a
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
