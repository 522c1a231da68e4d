"""Sends a run's events to its writers and writes its checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from rich.console import Console

from qcade.checks import check_value
from qcade.files.appended import FilePosition, kept_or_put_aside
from qcade.files.whole import is_disk_full
from qcade.recipe_json import to_json
from qcade.runs.checkpoint import prune_checkpoints, save_checkpoint
from qcade.runs.directory import RunDirectory
from qcade.runs.frame_store import FOLDER, FrameStore, stored_files
from qcade.runs.progress_file import PROGRESS_FILE, ProgressFile
from qcade.runs.stopping import StopRequest
from qcade.runs.tensorboard_file import FILE as SCALARS_FILE
from qcade.runs.tensorboard_file import TensorBoardFile
from qcade.runs.writers import MetricsFile, RecentScores, Screen, Writer
from qcade.tape.format import TapePosition, TapeWriter
from qcade.training.events import Advanced, EpisodeEnded, Event
from qcade.training.state import Training
from qcade.types import JSON, Count, QcadeError

SECONDS_BETWEEN_SPILLS = 2.0


class Recorder:
    """Writes what a training does into its run directory and onto the screen."""

    def __init__(
        self,
        directory: RunDirectory,
        training: Training,
        console: Console,
        notes: dict[str, JSON],
        stop: StopRequest,
    ) -> None:
        """Go on with the logs where the checkpoint whose state.json is `notes` left them."""
        recipe = training.recipe
        self.directory, self.training = directory, training
        self.scores = RecentScores.from_json(notes.get("scores"))
        frames, total = training.frames, recipe.total_frames
        kept = {}
        for log, path in (
            ("metrics", directory.metrics_file),
            ("tensorboard", directory.tensorboard / SCALARS_FILE),
        ):
            position = position_in(notes, log)
            kept[log], aside = kept_or_put_aside(path, position)
            if kept[log] != position:
                was = f"what there was is now {aside.name}, and" if aside else "it is gone, and"
                console.print(
                    f"{path.name} is not as the checkpoint left it: {was} a new one begins."
                )
        self._metrics = MetricsFile(directory.metrics_file, kept["metrics"])
        self._tensorboard = TensorBoardFile(directory.tensorboard, kept["tensorboard"])
        self._tape: TapeWriter | None = None
        if recipe.game.is_replayable:
            tape_kept = tape_position(notes) if "tape" in notes else None
            protocol = recipe.game.protocol()
            self._tape = TapeWriter(
                directory.path, recipe.environments, protocol, tape_kept, training.next_row
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
            stored = stored_files(notes)
            self._frames = FrameStore(
                directory.path / FOLDER,
                training.next_row if stored else training.ring.oldest_row,
                stored,
            )
            self._files_of_last_two: deque[set[str]] = deque([set(stored)], maxlen=2)
        self._saved_frames = -1
        self._trouble: OSError | None = None
        self._next_spill = time.monotonic()

    def write(self, event: Event) -> None:
        """Give an event to every writer; OSError from any, but not before its row is whole."""
        if isinstance(event, EpisodeEnded):
            self.scores.add(event.score)
        for writer in self._writers:
            self._attempt(partial(writer.write, event))
        if isinstance(event, Advanced):
            self._spill_now_and_then()
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise trouble

    def last_checkpoint(self) -> list[str]:
        """Write a checkpoint where hardly any space is left; the options that a resume then needs.

        Weights come first: if frames do not fit beside them, they are left out.
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
        """Write a checkpoint of this instant, if there is none yet."""
        if self._saved_frames == self.training.frames:
            return
        self._metrics.flush()
        self._tensorboard.flush()
        if self._tape is not None:
            self._tape.flush()
        notes: dict[str, JSON] = {
            "metrics": [*self._metrics.position],
            "tensorboard": [*self._tensorboard.position],
            "scores": self.scores.to_json(),
            "mean_score": self.scores.mean if self.scores.is_full else None,
            "recipe": to_json(self.training.recipe),
        }
        if self._tape is not None:
            position = self._tape.position
            notes["tape"] = [[*position.tape], [*position.index]]
        if self._frames is not None and with_frames:
            files = self._frames.save(self.training.ring)
            notes["frames_files"] = files
            self._files_of_last_two.append(set(files))
        save_checkpoint(
            self.directory.checkpoints, self.training.frames, self.training.snapshot(), notes
        )
        if self.training.recipe.checkpoints.keep == "few":
            prune_checkpoints(self.directory.checkpoints)
        if self._frames is not None:
            self._frames.prune(set().union(*self._files_of_last_two))
        self._saved_frames = self.training.frames

    def close(self) -> None:
        """Finish every writer; what a full disk keeps them from is in the last checkpoint."""
        for writer in self._writers:
            with contextlib.suppress(OSError):
                writer.flush()
            with contextlib.suppress(OSError):
                writer.close()

    def _spill_now_and_then(self) -> None:
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
            self._trouble = self._trouble or error


def position_in(notes: dict[str, JSON], log: str) -> FilePosition:
    """How much of a log, `metrics` or `tensorboard`, belongs to a checkpoint."""
    return _position(notes.get(log, [0, 0]))


def metrics_position(notes: dict[str, JSON]) -> FilePosition:
    """How much of metrics.jsonl belongs to a checkpoint."""
    return position_in(notes, "metrics")


def tape_position(notes: dict[str, JSON]) -> TapePosition:
    """How much of the tape belongs to a checkpoint; QcadeError if it has none."""
    parts = notes.get("tape")
    if not isinstance(parts, list) or len(parts) != 2:
        raise QcadeError("the checkpoint does not say how long its tape was")
    return TapePosition(_position(parts[0]), _position(parts[1]))


def _position(data: JSON) -> FilePosition:
    figures = tuple(data) if isinstance(data, list) else ()
    try:
        check_value(figures, tuple[Count, Count], "position")
    except QcadeError:
        raise QcadeError("the checkpoint does not say how long its logs were") from None
    length_bytes, crc = figures
    return FilePosition(int(str(length_bytes)), int(str(crc)))
