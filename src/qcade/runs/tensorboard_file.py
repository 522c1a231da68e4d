"""Scalars for TensorBoard, in a file that is cut and continued like the run's other logs.

TensorBoard's own writer has a thread that dies with a traceback when the disk is full, and starts
another file at every resume.
"""

from __future__ import annotations

import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event as EventRecord
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from qcade.files.appended import AppendedFile, FilePosition
from qcade.training.events import EpisodeEnded, Evaluated, Event, Updated

FILE = "events.out.tfevents.0.qcade"
FILE_VERSION = "brain.Event:2"


class TensorBoardFile:
    """Scores and means over updates, by emulator frames."""

    def __init__(self, folder: Path, kept: FilePosition) -> None:
        """Go on after `kept`; the rest is of work that was lost."""
        self._file = AppendedFile(folder / FILE, kept)
        self._records = RecordWriter(_Sink(self._file))
        if kept.length_bytes == 0:
            self._add(EventRecord(wall_time=time.time(), file_version=FILE_VERSION))

    def write(self, event: Event) -> None:
        """Add an episode's score or the updates' means."""
        if isinstance(event, EpisodeEnded):
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
        """Give the operating system what is pending."""
        self._file.spill()

    def flush(self) -> None:
        """Bring the scalars to the disk."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, record: EventRecord) -> None:
        self._records.write(record.SerializeToString())


class _Sink:
    """What TensorBoard's record format is written to."""

    def __init__(self, file: AppendedFile) -> None:
        self._file = file

    def write(self, content: bytes) -> None:
        self._file.append(content)
