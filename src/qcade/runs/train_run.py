"""Training a run on disk, from its newest checkpoint or from the beginning."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rich.console import Console

from qcade.compute.hardware import keep_freed_memory, torch_threads
from qcade.events import Advanced, CheckpointDue, EvaluationDue
from qcade.files.appended import set_aside
from qcade.files.whole import is_disk_full, writing_to
from qcade.recipe import ReplayRecipe
from qcade.replay.frames import ring_bytes
from qcade.runs.checkpoint import load_checkpoint
from qcade.runs.evaluating import evaluate_training
from qcade.runs.failures import environment_failed, updates_failed
from qcade.runs.forking import starts_empty
from qcade.runs.layout import RESERVE_FILE, check_layout
from qcade.runs.lock import hold
from qcade.runs.progress_file import starting
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.runs.reading.run import Run
from qcade.runs.recorder import Recorder
from qcade.runs.resuming import restore_memory
from qcade.runs.stopping import Stopped, StopRequest, stop_requests
from qcade.shell import command_line
from qcade.tape.format import INDEX_FILE, TAPE_FILE
from qcade.training.loop import run
from qcade.training.memory import memory_device
from qcade.training.parts import Training
from qcade.training.plan import TrainingPlan, build_training
from qcade.training.snapshot import restore
from qcade.types import EnvironmentFailed, NotFinite, QcadeError

Outcome = Literal["complete", "interrupted"]


def train_run(
    directory: Run,
    plan: TrainingPlan,
    checkpoint_bytes: int,
    console: Console,
    fresh_memory: bool = False,
) -> Outcome:
    """Start the run, or continue from its newest checkpoint, until its end or an interrupt.

    `checkpoint_bytes` of disk space are reserved for the last checkpoint. With `fresh_memory` the
    run continues with an empty replay memory and new games. Raises RunFailed, after saving what
    can be saved, if an environment fails or an update is not finite.
    """
    check_layout(directory.path)
    keep_freed_memory()
    with stop_requests(directory.path) as stop, hold(directory.path):
        return _train_run(directory, plan, checkpoint_bytes, console, stop, fresh_memory)


def _train_run(
    directory: Run,
    plan: TrainingPlan,
    checkpoint_bytes: int,
    console: Console,
    stop: StopRequest,
    fresh_memory: bool,
) -> Outcome:
    recipe = plan.recipe
    resumed = list_checkpoints(directory.checkpoints)
    snapshot, state = load_checkpoint(resumed[-1]) if resumed else (None, None)
    if not resumed:
        _set_logs_aside(directory, console)
    elif starts_empty(directory, resumed[-1]):
        fresh_memory = True
    with (
        _reserve(directory.path / RESERVE_FILE, checkpoint_bytes) as reserve,
        contextlib.ExitStack() as settings,
    ):
        training = build_training(plan)
        settings.enter_context(torch_threads(training.hardware.threads))
        if isinstance(recipe, ReplayRecipe):
            console.print(_describe_memory(training), highlight=False)
        if snapshot is not None and state is not None:
            try:
                restore(training, snapshot)
                with starting(directory.path, stop):
                    state = restore_memory(
                        training, state, directory, console, fresh_memory, stop.check
                    )
            except Stopped:
                training.close()
                return "interrupted"
        recorder = Recorder(directory, training, console, state, stop)
        first_frames = training.frames
        try:
            with contextlib.suppress(Stopped):
                for event in run(training):
                    recorder.write(event)
                    if isinstance(event, Advanced):
                        stop.check()
                    elif isinstance(event, EvaluationDue):
                        recorder.write(evaluate_training(directory, training, stop.check))
                    elif isinstance(event, CheckpointDue):
                        recorder.checkpoint()
            recorder.checkpoint()
        except OSError as error:
            if not is_disk_full(error):
                raise
            reserve.unlink(missing_ok=True)
            option = recorder.last_checkpoint()
            resume = command_line("resume", directory.path, *option)
            raise QcadeError(
                f"the disk of {directory.path} is full; everything up to frame "
                f"{training.frames:,} is saved: free some space, then `{resume}`"
            ) from error
        except EnvironmentFailed as failure:
            reserve.unlink(missing_ok=True)
            saves = training.frames > first_frames
            option = recorder.last_checkpoint() if saves else []
            raise environment_failed(failure, directory, training.frames, option) from failure
        except NotFinite as failure:
            raise updates_failed(failure, directory, training.frames) from failure
        finally:
            is_failing = sys.exception() is not None
            recorder.close()
            try:
                training.close()
            except EnvironmentFailed as failure:
                if not is_failing:
                    raise environment_failed(failure, directory, training.frames, []) from failure
        return "complete" if training.frames >= recipe.total_frames else "interrupted"


def _set_logs_aside(directory: Run, console: Console) -> None:
    """Rename the logs of a run without checkpoints: none was written, or all were removed."""
    for path in (directory.metrics_file, directory.path / TAPE_FILE, directory.path / INDEX_FILE):
        aside = set_aside(path)
        if aside is not None:
            console.print(
                f"There is no checkpoint for {path.name}: it was renamed to {aside.name}, and the "
                "run starts from the beginning."
            )


def _describe_memory(training: Training) -> str:
    ring = training.ring
    device = memory_device(ring.storage, ring.device)
    size = ring_bytes(ring.rows, ring.environments, ring.height, ring.width, ring.storage)
    return (
        f"replay memory: {ring.rows * ring.environments:,} frames, {ring.storage}, "
        f"up to {size / 1e9:.2f} GB of {'host' if device.type == 'cpu' else device} memory"
    )


@contextlib.contextmanager
def _reserve(path: Path, size_bytes: int) -> Iterator[Path]:
    """Reserve disk space, so that the last checkpoint fits even when the disk is full."""
    try:
        with writing_to(path.parent), open(path, "wb") as file:
            # Zeros would take no space where the file system compresses.
            block = os.urandom(2**20)
            for _ in range(size_bytes // 2**20 + 2):
                file.write(block)
        yield path
    finally:
        path.unlink(missing_ok=True)
