"""Sends a run's events to its writers and writes its checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from qcade.events import Advanced, Episode, Event
from qcade.files.appended import FilePosition, kept_or_set_aside
from qcade.files.whole import is_disk_full
from qcade.recipe.as_json import to_json
from qcade.runs.checkpoint import prune_checkpoints, save_checkpoint
from qcade.runs.frame_store import FrameStore
from qcade.runs.layout import FRAMES_FOLDER, PROGRESS_FILE
from qcade.runs.progress_file import ProgressFile
from qcade.runs.reading.checkpoints import CheckpointState
from qcade.runs.reading.run import Run
from qcade.runs.reading.scores import RecentScores
from qcade.runs.stopping import StopRequest
from qcade.runs.tensorboard_file import FILE as SCALARS_FILE
from qcade.runs.tensorboard_file import TensorBoardFile
from qcade.runs.writers import MetricsFile, Screen, Writer
from qcade.tape.format import TapeWriter
from qcade.training.parts import Training
from qcade.training.snapshot import take_snapshot

SECONDS_BETWEEN_SPILLS = 2.0


class Recorder:
    """Records a training in its run directory and shows it on the screen."""

    def __init__(
        self,
        directory: Run,
        training: Training,
        console: Console,
        state: CheckpointState | None,
        stop: StopRequest,
    ) -> None:
        """Continue the logs from the state of a checkpoint; None starts new ones."""
        recipe = training.recipe
        self.directory, self.training = directory, training
        self.scores = RecentScores.from_json(None if state is None else state.scores)
        frames, total = training.frames, recipe.total_frames
        start = FilePosition(0, 0)
        kept_metrics = self._kept_position(
            directory.metrics_file, start if state is None else state.metrics, console
        )
        kept_scalars = self._kept_position(
            directory.tensorboard / SCALARS_FILE,
            start if state is None else state.tensorboard,
            console,
        )
        self._metrics = MetricsFile(
            directory.metrics_file, kept_metrics, _seconds_before(directory, state)
        )
        self._tensorboard = TensorBoardFile(directory.tensorboard, kept_scalars)
        self._tape: TapeWriter | None = None
        if recipe.game.is_replayable:
            kept_tape = None if state is None else state.tape
            protocol = recipe.game.protocol()
            self._tape = TapeWriter(
                directory.path, recipe.environments, protocol, kept_tape, training.session.next_row
            )
        self._writers: list[Writer] = [
            self._metrics,
            *([self._tape] if self._tape else []),
            self._tensorboard,
            ProgressFile(directory.path / PROGRESS_FILE, total, frames, self.scores, stop),
            Screen(console, total, frames, self.scores),
        ]
        self._frames: FrameStore | None = None
        if recipe.stores_frames:
            stored = {} if state is None else dict(state.stored_frames)
            self._frames = FrameStore(
                directory.path / FRAMES_FOLDER,
                training.session.next_row if stored else training.ring.oldest_row,
                stored,
            )
            self._files_of_last_two: deque[set[str]] = deque([set(stored)], maxlen=2)
        self._saved_frames = -1
        self._write_error: OSError | None = None
        self._next_spill = time.monotonic()

    def write(self, event: Event) -> None:
        """Pass an event to every writer; an OSError of one is raised once the row is complete."""
        if isinstance(event, Episode):
            self.scores.add(event.score)
        for writer in self._writers:
            self._attempt(partial(writer.write, event))
        if isinstance(event, Advanced):
            self._spill_if_due()
            if self._write_error is not None:
                error, self._write_error = self._write_error, None
                raise error

    def last_checkpoint(self) -> list[str]:
        """Write a checkpoint to an almost full disk; return the options that a resume then needs.

        If the stored frames do not fit along with the weights, they are left out.
        """
        try:
            self.checkpoint()
        except OSError as error:
            if self._frames is None or not is_disk_full(error):
                raise
            self._frames.prune(set().union(*self._files_of_last_two))
            self.checkpoint(with_frames=False)
            return [] if self.training.recipe.game.is_replayable else ["--fresh-memory"]
        return []

    def checkpoint(self, with_frames: bool = True) -> None:
        """Write a checkpoint, unless there is one of this frame already."""
        if self._saved_frames == self.training.frames:
            return
        self._metrics.flush()
        self._tensorboard.flush()
        if self._tape is not None:
            self._tape.flush()
        snapshot = take_snapshot(self.training)
        stored: dict[str, str] = {}
        if self._frames is not None and with_frames:
            stored = self._frames.save(self.training.ring)
            self._files_of_last_two.append(set(stored))
        state = CheckpointState(
            frames=self.training.frames,
            counters=snapshot.counters,
            metrics=self._metrics.position,
            tensorboard=self._tensorboard.position,
            tape=None if self._tape is None else self._tape.position,
            stored_frames=stored,
            scores=self.scores.to_json(),
            mean_score=self.scores.mean if self.scores.is_full else None,
            seconds=self._metrics.seconds,
            recipe=to_json(self.training.recipe),
        )
        save_checkpoint(self.directory.checkpoints, snapshot, state)
        if self.training.recipe.checkpoints.keep == "few":
            prune_checkpoints(self.directory.checkpoints)
        if self._frames is not None:
            self._frames.prune(set().union(*self._files_of_last_two))
        self._saved_frames = self.training.frames

    def close(self) -> None:
        """Flush and close every writer; errors are ignored, since the last checkpoint is saved."""
        for writer in self._writers:
            with contextlib.suppress(OSError):
                writer.flush()
            with contextlib.suppress(OSError):
                writer.close()

    @staticmethod
    def _kept_position(path: Path, position: FilePosition, console: Console) -> FilePosition:
        """Return how much of a log is kept: up to the checkpoint's position, or nothing."""
        kept, aside = kept_or_set_aside(path, position)
        if kept != position:
            change = (
                f"does not match the checkpoint: it was renamed to {aside.name}, and"
                if aside
                else "is missing:"
            )
            console.print(f"{path.name} {change} a new one is started.")
        return kept

    def _spill_if_due(self) -> None:
        now = time.monotonic()
        if now < self._next_spill:
            return
        self._next_spill = now + SECONDS_BETWEEN_SPILLS
        self._attempt(self._metrics.spill)
        self._attempt(self._tensorboard.spill)
        if self._tape is not None:
            self._attempt(self._tape.spill)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            self._write_error = self._write_error or error


def _seconds_before(run: Run, state: CheckpointState | None) -> float:
    """Return the training time of a run up to a checkpoint, in seconds."""
    if state is None:
        return 0.0
    if state.seconds is not None:
        return state.seconds
    # An earlier qcade wrote it: its log has the time, which started at 0 in every process.
    reader = run.metrics()
    reader.read_new()
    return reader.seconds
