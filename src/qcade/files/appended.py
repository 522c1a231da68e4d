"""An append-only file with a running checksum, which a full disk cannot damage."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import NamedTuple

from qcade.files.new_folder import make_folder
from qcade.files.whole import flush


class FilePosition(NamedTuple):
    """Length and checksum of the part of a file that belongs to a checkpoint."""

    length_bytes: int
    """Length in bytes."""
    crc: int
    """CRC-32 of these bytes."""


def kept_or_set_aside(path: Path, kept: FilePosition) -> tuple[FilePosition, Path | None]:
    """Return the position to continue after: `kept`, or 0 if the file does not match it any more.

    A file that was cut or changed since the checkpoint must not be continued: it is renamed, and
    its new name is returned too. That is None if the file matches or is missing.
    """
    content = path.read_bytes()[: kept.length_bytes] if path.is_file() else b""
    if FilePosition(len(content), zlib.crc32(content)) == kept:
        return kept, None
    return FilePosition(0, 0), set_aside(path)


def set_aside(path: Path) -> Path | None:
    """Rename a file that must not be continued; return its new name, None if there is no file."""
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    if not path.exists():
        return None
    path.rename(aside)
    return aside


class AppendedFile:
    """Buffers what is appended until `spill`; what a full disk refuses stays for the next call."""

    def __init__(self, path: Path, kept: FilePosition) -> None:
        """Continue after `kept`; the rest of the file belongs to lost work and is cut off."""
        self._length, self._crc = kept
        self._pending = bytearray()
        make_folder(path.parent)
        with open(path, "ab") as file:
            file.truncate(self._length)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def append(self, content: bytes) -> None:
        """Add content to the buffer; never fails."""
        self._pending += content
        self._length += len(content)
        self._crc = zlib.crc32(content, self._crc)

    @property
    def position(self) -> FilePosition:
        """Length and checksum, pending content included."""
        return FilePosition(self._length, self._crc)

    def spill(self) -> None:
        """Pass pending content to the operating system; OSError if the disk is full."""
        while self._pending:
            written = self._file.write(self._pending)
            del self._pending[: written or 0]

    def flush(self) -> None:
        """Flush everything to the disk itself."""
        self.spill()
        flush(self._file.fileno())

    def close(self) -> None:
        """Close the file, and drop what could not be written."""
        self._file.close()
