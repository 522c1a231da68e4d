"""A file that only grows, with its length and checksum at hand, and that no full disk can spoil."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import NamedTuple

from qcade.files.new_folder import make_folder
from qcade.files.whole import flush


class FilePosition(NamedTuple):
    """How much of a file belongs to a checkpoint, and its checksum."""

    length_bytes: int
    """Length."""
    crc: int
    """CRC-32 of that much."""


def kept_or_put_aside(path: Path, kept: FilePosition) -> tuple[FilePosition, Path | None]:
    """What can be gone on with: `kept`, or a new file if the old one does not fit it any more.

    A file that was cut, changed or lost since the checkpoint must not be gone on with; it is
    renamed, and its new name is returned, if there is one at all.
    """
    content = path.read_bytes()[: kept.length_bytes] if path.is_file() else b""
    if FilePosition(len(content), zlib.crc32(content)) == kept:
        return kept, None
    return FilePosition(0, 0), put_aside(path)


def put_aside(path: Path) -> Path | None:
    """Rename a file that must not be gone on with; its new name, or None if there is no file."""
    number = 1
    while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    if not path.exists():
        return None
    path.rename(aside)
    return aside


class AppendedFile:
    """Holds what is appended until `spill`; what a full disk refused is written by the next one."""

    def __init__(self, path: Path, kept: FilePosition) -> None:
        """Go on after `kept`; what lies beyond it is of work that was lost, and is cut off."""
        self._length, self._crc = kept
        self._pending = bytearray()
        make_folder(path.parent)
        with open(path, "ab") as file:
            file.truncate(self._length)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def append(self, content: bytes) -> None:
        """Take content in; never fails."""
        self._pending += content
        self._length += len(content)
        self._crc = zlib.crc32(content, self._crc)

    @property
    def position(self) -> FilePosition:
        """Length and checksum, pending content included."""
        return FilePosition(self._length, self._crc)

    def spill(self) -> None:
        """Give the operating system what is pending; OSError if the disk is full."""
        while self._pending:
            written = self._file.write(self._pending)
            del self._pending[: written or 0]

    def flush(self) -> None:
        """Bring everything to the disk itself."""
        self.spill()
        flush(self._file.fileno())

    def close(self) -> None:
        """Close the file, without what could not be written."""
        self._file.close()
