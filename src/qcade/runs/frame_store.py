"""The replay memory as compressed files, for games that no tape brings back, or for a quick start.

Rows are written once, when a checkpoint is made, in files of at most 64 MB before compression.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import lz4.frame
from safetensors import SafetensorError
from safetensors.torch import load, save

from qcade.checks import shown_value
from qcade.files.new_folder import make_folder
from qcade.files.whole import write_whole
from qcade.replay.frames import FrameRing
from qcade.types import JSON, QcadeError

FOLDER = "replay"
MOST_BYTES_A_FILE = 64 * 2**20
_NAME = re.compile(r"([0-9]{12,18})-([0-9]{12,18})\.lz4")


@dataclass
class FrameStore:
    """The stored rows of one run."""

    folder: Path
    """Where the files are."""
    next_row: int
    """Rows before this one are stored already."""
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every file, by its name `first-next.lz4`."""

    def save(self, ring: FrameRing) -> dict[str, JSON]:
        """Store the rows that are new; return every file that the ring needs, for state.json."""
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
        return {name: sha for name, sha in self.checksums.items() if _rows(name)[1] > oldest}

    def prune(self, needed: set[str]) -> None:
        """Delete the files that no checkpoint that can be resumed from needs."""
        for name in list(self.checksums):
            if name not in needed:
                del self.checksums[name]
        for path in self.folder.glob("*.lz4"):
            # On Windows a file that somebody reads stays until the next time.
            if path.name not in needed:
                with contextlib.suppress(OSError):
                    path.unlink()


def stored_files(notes: dict[str, JSON]) -> dict[str, str]:
    """Checksums of the files that a checkpoint needs, by name; none where it stored no frames.

    Raises QcadeError for anything that `FrameStore` does not write: names become paths.
    """
    files = notes.get("frames_files") or {}
    if not isinstance(files, dict):
        raise QcadeError("the checkpoint does not say which frames it stored")
    checked: dict[str, str] = {}
    for name, sha in files.items():
        if not _NAME.fullmatch(name) or not isinstance(sha, str):
            raise QcadeError(
                f"the checkpoint names {shown_value(name)} as a file of stored frames, which is "
                "not one: its state.json was changed"
            )
        checked[name] = sha
    return checked


def load_rows(
    folder: Path, files: dict[str, str], ring: FrameRing, next_row: int, opening_row: int
) -> None:
    """Refill an empty ring up to `next_row`; QcadeError names a file that is missing or damaged."""
    # A ring may be larger than the one that was stored.
    first_stored = min((_rows(name)[0] for name in files), default=next_row)
    ring.start_at(max(opening_row, next_row - ring.rows, first_stored), opening_row)
    for name, sha in sorted(files.items()):
        first, until = _rows(name)
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
        raise QcadeError(f"{folder} lacks rows from {ring.appended_rows:,} to {next_row:,}")


def _rows(name: str) -> tuple[int, int]:
    first, _, until = name.removesuffix(".lz4").partition("-")
    return int(first), int(until)
