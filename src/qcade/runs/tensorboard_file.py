"""Scalars for TensorBoard, in a file that a resume cuts and continues like the other logs.

TensorBoard's own writer has a thread that dies with a traceback when the disk is full, and it
starts a new file at every resume.
"""

from __future__ import annotations

import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event as EventRecord
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from qcade.events import Episode, Evaluated, Event, Updated
from qcade.files.appended import AppendedFile, FilePosition

FILE = "events.out.tfevents.0.qcade"
FILE_VERSION = "brain.Event:2"


class TensorBoardFile:
    """Writes scores, and means over updates, by emulator frames."""

    def __init__(self, folder: Path, kept: FilePosition) -> None:
        """Continue after `kept`; the rest belongs to lost work and is cut off."""
        self._file = AppendedFile(folder / FILE, kept)
        self._records = RecordWriter(_Sink(self._file))
        if kept.length_bytes == 0:
            self._add(EventRecord(wall_time=time.time(), file_version=FILE_VERSION))

    def write(self, event: Event) -> None:
        """Add an episode's score or the updates' means."""
        if isinstance(event, Episode):
            values = {
                "episode/score": event.score,
                "episode/length_decisions": float(event.length_decisions),
                "exploration/epsilon": event.epsilon,
            }
        elif isinstance(event, Updated):
            values = {f"updates/{name}": value for name, value in event.metrics.items()}
        elif isinstance(event, Evaluated):
            values = {"evaluation/mean": event.mean, "evaluation/median": event.median}
        else:
            return
        summary = Summary(
            value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        )
        self._add(EventRecord(wall_time=time.time(), step=event.frames, summary=summary))

    @property
    def position(self) -> FilePosition:
        """Length and checksum, unwritten records included."""
        return self._file.position

    def spill(self) -> None:
        """Pass pending records to the operating system."""
        self._file.spill()

    def flush(self) -> None:
        """Flush the scalars to the disk."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, record: EventRecord) -> None:
        self._records.write(record.SerializeToString())


class _Sink:
    """The output file, as TensorBoard's record writer expects it."""

    def __init__(self, file: AppendedFile) -> None:
        self._file = file

    def write(self, content: bytes) -> None:
        self._file.append(content)
