"""Carrying a run out: the loop's events go to the writers, checkpoints to the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console

from qcade.machine import available_disk_bytes, available_memory_bytes, resolve
from qcade.networks.q_network import build_q_network
from qcade.recipe import Recipe, self_sufficient_capacity
from qcade.replay.frames import ring_bytes
from qcade.runs.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from qcade.runs.directory import RunDirectory
from qcade.runs.files import is_disk_full
from qcade.runs.lock import hold
from qcade.runs.progress_file import ProgressFile
from qcade.runs.status import PROGRESS_FILE
from qcade.runs.stopping import StopRequest, stop_requests
from qcade.runs.writers import MetricsFile, RecentScores, Screen, TensorBoardFiles, Writer
from qcade.training.events import CheckpointDue, EpisodeEnded
from qcade.training.loop import run
from qcade.training.state import Training
from qcade.types import JSON, QcadeError

MEMORY_BESIDE_RING_BYTES = 800_000_000
MOST_ACTIONS = 18
WEIGHT_COPIES_PER_CHECKPOINT = 4
CHECKPOINTS_ON_DISK = 4
"""The newest two, the best, and one that is being written."""

Outcome = Literal["complete", "interrupted"]


@dataclass(frozen=True)
class Needs:
    """What a run will take."""

    memory_bytes: int
    """Of the frame ring and everything beside it."""
    disk_bytes: int
    """Of checkpoints and logs."""
    checkpoint_bytes: int
    """Of one checkpoint."""


def predict_needs(recipe: Recipe) -> Needs:
    """Predict the memory and disk of a run without starting it."""
    height, width = recipe.game.frame_shape
    try:
        network = build_q_network(
            recipe.torso, recipe.algorithm, (recipe.stack, height, width), MOST_ACTIONS, seed=0
        )
    except RuntimeError as error:
        raise QcadeError(
            f"{type(recipe.torso).__name__} cannot read {height}x{width} frames: {error}"
        ) from error
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    ring = ring_bytes(recipe.ring_rows, recipe.environments, height, width)
    checkpoint = WEIGHT_COPIES_PER_CHECKPOINT * weights + 100_000
    logs = 50_000_000
    return Needs(
        MEMORY_BESIDE_RING_BYTES + ring + 4 * weights,
        CHECKPOINTS_ON_DISK * checkpoint + logs,
        checkpoint,
    )


def check_needs(recipe: Recipe, folder: Path) -> Needs:
    """Refuse a run that cannot start, or that does not fit, before anything is written.

    Raises QcadeError: with the number that would fit, or with what the game or device lacks.
    """
    recipe.game.open(1, 0, 1).close()
    needs = predict_needs(recipe)
    on_host = resolve(recipe.compute).device.type != "cuda"
    available = available_memory_bytes()
    if on_host and needs.memory_bytes > available:
        height, width = recipe.game.frame_shape
        one = ring_bytes(1, 1, height, width)
        ring = recipe.ring_rows * recipe.environments * one
        fits = max(0, (available - (needs.memory_bytes - ring)) // one)
        advice = (
            f"--replay.capacity {fits // 1000 * 1000} would fit"
            if fits // 1000 * 1000 >= self_sufficient_capacity(recipe)
            else "this machine is too small for this recipe"
        )
        raise QcadeError(
            f"the run needs {_gigabytes(needs.memory_bytes)} of memory "
            f"({recipe.replay.capacity:,} frames of {height}x{width}), "
            f"{_gigabytes(available)} is available: {advice}"
        )
    free = available_disk_bytes(folder)
    if needs.disk_bytes > free:
        raise QcadeError(
            f"the run needs {_gigabytes(needs.disk_bytes)} of disk for checkpoints and logs, "
            f"{folder} has {_gigabytes(free)}: free some space or choose another --out"
        )
    return needs


def carry_out(directory: RunDirectory, recipe: Recipe, console: Console) -> Outcome:
    """Start the run, or go on from its newest checkpoint, until its end or an interrupt."""
    with hold(directory.path), stop_requests(directory.path) as stop:
        return _carry_out(directory, recipe, console, stop)


def _carry_out(
    directory: RunDirectory, recipe: Recipe, console: Console, stop: StopRequest
) -> Outcome:
    needs = check_needs(recipe, directory.path)
    resumed = list_checkpoints(directory.checkpoints)
    snapshot, state = load_checkpoint(resumed[-1]) if resumed else (None, {})
    with _reserve(directory.path / ".reserve", needs.checkpoint_bytes) as reserve:
        training = Training(recipe, snapshot)
        keep_bytes = int(str(state.get("metrics_bytes", 0)))
        recorder = Recorder(directory, training, console, keep_bytes, stop)
        try:
            for event in run(training):
                recorder.write(event)
                if isinstance(event, CheckpointDue):
                    recorder.checkpoint()
                if stop.made:
                    break
            recorder.checkpoint()
        except OSError as error:
            if not is_disk_full(error):
                raise
            reserve.unlink(missing_ok=True)
            recorder.checkpoint()
            raise QcadeError(
                f"the disk of {directory.path} is full; everything up to frame "
                f"{training.frames:,} is saved: free some space, then "
                f"`qcade resume {directory.path}`"
            ) from error
        finally:
            recorder.close()
            training.close()
        return "complete" if training.frames >= recipe.total_frames else "interrupted"


@dataclass
class Recorder:
    """Sends events to the writers and writes checkpoints."""

    directory: RunDirectory
    training: Training
    console: Console
    keep_metrics_bytes: int
    stop: StopRequest
    scores: RecentScores = field(default_factory=RecentScores)

    def __post_init__(self) -> None:
        frames = self.training.frames
        self._metrics = MetricsFile(self.directory.metrics_file, self.keep_metrics_bytes)
        self._writers: list[Writer] = [
            self._metrics,
            TensorBoardFiles(self.directory.tensorboard, frames),
            ProgressFile(
                self.directory.path / PROGRESS_FILE,
                self.training.recipe.total_frames,
                frames,
                self.scores,
                self.stop,
            ),
            Screen(self.console, self.training.recipe.total_frames, frames, self.scores),
        ]
        self._saved_frames = -1

    def write(self, event: object) -> None:
        """Give an event to every writer."""
        if isinstance(event, EpisodeEnded):
            self.scores.add(event.score)
        for writer in self._writers:
            writer.write(event)  # type: ignore[arg-type]

    def checkpoint(self) -> None:
        """Write a checkpoint of this instant, if there is none yet."""
        if self._saved_frames == self.training.frames:
            return
        for writer in self._writers:
            writer.flush()
        notes: dict[str, JSON] = {
            "metrics_bytes": self._metrics.length_bytes(),
            "mean_score": self.scores.mean if self.scores.is_full else None,
        }
        save_checkpoint(
            self.directory.checkpoints, self.training.frames, self.training.snapshot(), notes
        )
        prune_checkpoints(self.directory.checkpoints)
        self._saved_frames = self.training.frames

    def close(self) -> None:
        """Finish every writer."""
        for writer in self._writers:
            writer.close()


@contextlib.contextmanager
def _reserve(path: Path, size_bytes: int) -> Iterator[Path]:
    """Hold disk space back, so that a full disk still takes the last checkpoint."""
    with open(path, "wb") as file:
        block = bytes(2**20)
        for _ in range(size_bytes // len(block) + 2):
            file.write(block)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
