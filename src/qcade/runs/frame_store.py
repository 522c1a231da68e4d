"""The replay memory as compressed files, for games without a tape, or for a quick resume.

Rows are written once, when a checkpoint is made, in files of at most 64 MB before compression.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import lz4.frame
from safetensors import SafetensorError
from safetensors.torch import load, save

from qcade.files.new_folder import make_folder
from qcade.files.whole import write_whole
from qcade.replay.frames import FrameRing
from qcade.runs.reading.checkpoints import rows_in_file
from qcade.types import QcadeError

MOST_BYTES_A_FILE = 64 * 2**20


@dataclass
class FrameStore:
    """The stored rows of one run."""

    folder: Path
    """The folder of the files."""
    next_row: int
    """Rows before this one are stored already."""
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every file, by name: `first-next.lz4`."""

    def save(self, ring: FrameRing) -> dict[str, str]:
        """Store the new rows; return the checksum of every file that the ring needs, by name."""
        make_folder(self.folder)
        step = max(1, MOST_BYTES_A_FILE // (ring.environments * ring.height * ring.width))
        oldest = max(ring.oldest_row, 0)
        row = max(self.next_row, oldest)
        while row < ring.appended_rows:
            until = min(row + step, ring.appended_rows)
            content = lz4.frame.compress(save(ring.read_rows(row, until)))
            name = f"{row:012d}-{until:012d}.lz4"
            write_whole(self.folder / name, content)
            self.checksums[name] = hashlib.sha256(content).hexdigest()
            row = until
        self.next_row = ring.appended_rows
        return {name: sha for name, sha in self.checksums.items() if rows_in_file(name)[1] > oldest}

    def prune(self, needed: set[str]) -> None:
        """Delete every file that is not in `needed`."""
        for name in list(self.checksums):
            if name not in needed:
                del self.checksums[name]
        for path in self.folder.glob("*.lz4"):
            # On Windows a file that is being read cannot be deleted; the next call deletes it.
            if path.name not in needed:
                with contextlib.suppress(OSError):
                    path.unlink()


def load_rows(
    folder: Path, files: dict[str, str], ring: FrameRing, next_row: int, opening_row: int
) -> None:
    """Fill an empty ring up to `next_row`; QcadeError names a file that is missing or damaged."""
    # A ring may be larger than the one that was stored.
    first_stored = min((rows_in_file(name)[0] for name in files), default=next_row)
    ring.start_at(max(opening_row, next_row - ring.rows, first_stored), opening_row)
    for name, sha in sorted(files.items()):
        first, until = rows_in_file(name)
        path = folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise QcadeError(f"{path} cannot be read: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != sha:
            raise QcadeError(f"{path} is damaged: it does not match the checkpoint's checksum")
        try:
            rows = load(lz4.frame.decompress(content))
        except (RuntimeError, SafetensorError) as error:
            raise QcadeError(f"{path} cannot be read: {error}") from None
        skipped = max(0, ring.appended_rows - first)
        if skipped < until - first:
            ring.append_rows({key: value[skipped:] for key, value in rows.items()})
    if ring.appended_rows != next_row:
        raise QcadeError(f"{folder} lacks the rows from {ring.appended_rows:,} to {next_row:,}")
