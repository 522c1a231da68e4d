"""The tape: seeds and actions, from which a deterministic emulator recreates every frame.

`tape.bin` is a header (magic, length, JSON), followed by one row of E bytes for every decision of
all environments: the actions that led to that row. Row 0 and rows on which an episode opens hold
actions too, which the emulators ignored. `tape.index` is JSON lines: seedings and episodes.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qcade.checks import check_value
from qcade.events import Advanced, Episode, Event, Seeding, Started
from qcade.files.appended import AppendedFile, FilePosition, set_aside
from qcade.files.json_text import json_text, parse_json_object
from qcade.files.versions import check_version
from qcade.types import (
    JSON,
    LARGEST_FLOAT,
    LARGEST_WHOLE_NUMBER,
    Count,
    EnvironmentCount,
    QcadeError,
    UInt8Array,
)

TAPE_FILE, INDEX_FILE = "tape.bin", "tape.index"
MAGIC = b"QCADETAPE"
FORMAT_VERSION = 1
_LENGTH = struct.Struct("<I")


_EPISODE_FIGURES = tuple(item.name for item in dataclasses.fields(Episode))
_SEEDING_FIGURES = Seeding._fields
_FRACTIONS = ("score", "epsilon")


@dataclass(frozen=True)
class Tape:
    """A tape in memory, with one byte per decision."""

    header: dict[str, JSON]
    """Format, environments and the game's protocol."""
    first_row: int
    """Number of the first row; not 0 where an earlier tape was lost."""
    actions: UInt8Array
    """uint8 [rows, E]: the actions that led to row `first_row` and to each row after it."""
    seedings: tuple[Seeding, ...]
    """In the order of rows."""
    episodes: tuple[Episode, ...]
    """In the order of their ends."""

    @property
    def environments(self) -> int:
        """The number of environments, E."""
        return int(self.actions.shape[1])

    @property
    def next_row(self) -> int:
        """Number of the row after the last."""
        return self.first_row + len(self.actions)

    def can_play(self, seeding: Seeding) -> bool:
        """Whether the environment, row and seed of a seeding are possible for this tape."""
        is_inside = 0 <= seeding.environment < self.environments
        return is_inside and self.first_row <= seeding.row and 0 < seeding.seed < 2**31


@dataclass(frozen=True)
class TapePosition:
    """Lengths and checksums of a tape's files at a checkpoint."""

    tape: FilePosition
    """Of tape.bin."""
    index: FilePosition
    """Of tape.index."""


class TapeWriter:
    """Appends a run's actions, seedings and episodes: a few bytes and a checksum per decision."""

    def __init__(
        self,
        folder: Path,
        environments: int,
        protocol: dict[str, JSON],
        kept: TapePosition | None,
        first_row: int = 0,
    ) -> None:
        """Continue after `kept` and cut off what was recorded later; None starts a new tape."""
        header = json_text(
            {
                "format": FORMAT_VERSION,
                "environments": environments,
                "first_row": first_row,
                "protocol": protocol,
            },
            TAPE_FILE,
        ).encode()
        header_bytes = MAGIC + _LENGTH.pack(len(header)) + header
        start_of_file = FilePosition(0, 0)
        self._tape = AppendedFile(folder / TAPE_FILE, kept.tape if kept else start_of_file)
        self._index = AppendedFile(folder / INDEX_FILE, kept.index if kept else start_of_file)
        if kept is None:
            self._tape.append(header_bytes)

    def write(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, Started):
            self._record_row(np.zeros(len(event.seedings), np.uint8), event.seedings)
        elif isinstance(event, Advanced):
            self._record_row(event.actions.astype(np.uint8), event.seedings)
        elif isinstance(event, Episode):
            self._record_line({"episode": asdict(event)})

    @property
    def position(self) -> TapePosition:
        """The current lengths and checksums of the files."""
        return TapePosition(self._tape.position, self._index.position)

    def spill(self) -> None:
        """Pass pending records to the operating system."""
        self._tape.spill()
        self._index.spill()

    def flush(self) -> None:
        """Flush the tape to the disk."""
        self._tape.flush()
        self._index.flush()

    def close(self) -> None:
        """Close the files."""
        self._tape.close()
        self._index.close()

    def _record_row(self, actions: UInt8Array, seedings: tuple[Seeding, ...]) -> None:
        self._tape.append(actions.tobytes())
        for seeding in seedings:
            self._record_line({"seeding": seeding._asdict()})

    def _record_line(self, line: dict[str, Any]) -> None:
        self._index.append(json_text(line, INDEX_FILE).encode() + b"\n")


def set_tape_aside(folder: Path) -> None:
    """Rename a tape, so that a new one can be started and nothing is lost."""
    for name in (TAPE_FILE, INDEX_FILE):
        set_aside(folder / name)


def read_tape(folder: Path, position: TapePosition | None = None) -> Tape:
    """Read a tape up to `position`, checked against it; None reads all complete records.

    Raises QcadeError if a file is missing, shorter than the position, or was changed.
    """
    content = _read(folder / TAPE_FILE, position.tape if position else None)
    index = _read(folder / INDEX_FILE, position.index if position else None)
    header, rows = _split(folder / TAPE_FILE, content)
    environments, first_row = int(str(header["environments"])), int(str(header["first_row"]))
    whole = len(rows) // environments * environments
    actions = np.frombuffer(rows[:whole], np.uint8).reshape(-1, environments)
    seedings, episodes, index_name = [], [], str(folder / INDEX_FILE)
    for number, line in enumerate(index[: index.rfind(b"\n") + 1].splitlines(), 1):
        where = f"{index_name}, line {number:,}"
        record = parse_json_object(line, where)
        if record.keys() == {"seeding"}:
            seedings.append(_seeding_from_json(record["seeding"], where))
        elif record.keys() == {"episode"}:
            episodes.append(episode_from_json(record["episode"], where))
        else:
            raise QcadeError(f"{where} is neither a seeding nor an episode")
    next_row = first_row + len(actions)
    tape = Tape(
        header,
        first_row,
        actions,
        tuple(s for s in seedings if s.row < next_row),
        tuple(e for e in episodes if e.first_row + e.length_decisions < next_row),
    )
    impossible = [seeding for seeding in tape.seedings if not tape.can_play(seeding)]
    if position is not None and impossible:
        raise QcadeError(f"{index_name} has an impossible seeding: {impossible[0]}")
    return tape


def episode_from_json(data: JSON, where: str) -> Episode:
    """Read an episode from its fields; QcadeError names `where` and the field that is wrong."""
    figures = _figures(data, _EPISODE_FIGURES, where)
    return Episode(**figures)


def _seeding_from_json(data: JSON, where: str) -> Seeding:
    return Seeding(**_figures(data, _SEEDING_FIGURES, where))


def _figures(data: JSON, names: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise QcadeError(f"{where} does not hold figures by name")
    if len(data) != len(names):
        raise QcadeError(f"{where} does not hold {', '.join(names)} and nothing else")
    for name in names:
        value = data.get(name)
        if type(value) is int and -LARGEST_WHOLE_NUMBER <= value <= LARGEST_WHOLE_NUMBER:
            continue
        if name not in _FRACTIONS:
            raise QcadeError(f"{where}: {name} is not a whole number of at most 2**53")
        if type(value) is not float or not -LARGEST_FLOAT <= value <= LARGEST_FLOAT:
            raise QcadeError(f"{where}: {name} is not a number of at most {LARGEST_FLOAT:g}")
    return data


def _read(path: Path, expected: FilePosition | None) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise QcadeError(f"{path} is missing") from None
    except OSError as error:
        raise QcadeError(f"{path} cannot be read: {error.strerror}") from None
    if expected is None:
        return content
    length, crc = expected
    if len(content) < length:
        raise QcadeError(f"{path} is cut off: only {len(content):,} of {length:,} bytes are left")
    if zlib.crc32(content[:length]) != crc:
        raise QcadeError(f"{path} was changed: it does not match the checkpoint's checksum")
    return content[:length]


def _split(path: Path, content: bytes) -> tuple[dict[str, JSON], bytes]:
    start = len(MAGIC) + _LENGTH.size
    try:
        if content[: len(MAGIC)] != MAGIC:
            raise ValueError
        (length,) = _LENGTH.unpack(content[len(MAGIC) : start])
        header = parse_json_object(content[start : start + length], str(path))
        check_value(header["environments"], EnvironmentCount, "environments")
        check_value(header["first_row"], Count, "first_row")
    except (ValueError, KeyError, QcadeError, struct.error):
        raise QcadeError(f"{path} is not a tape") from None
    check_version(header.get("format"), FORMAT_VERSION, str(path))
    return header, content[start + length :]
