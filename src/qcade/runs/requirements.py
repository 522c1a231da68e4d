"""The memory and disk that a run requires, and whether this machine has them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from qcade.compute.hardware import AvailableMemory, available_disk_bytes, available_memory, resolve
from qcade.files.whole import writing_to
from qcade.recipe import Recipe, ReplayRecipe, self_sufficient_capacity
from qcade.replay.frames import ring_bytes
from qcade.replay.storage import StorageKind
from qcade.training.learning_memory import learning_memory
from qcade.training.memory import (
    DeviceMemory,
    choose_storage,
    predict_memory,
    sampler_bytes,
)
from qcade.types import QcadeError

LEAST_COMPRESSION_ON_DISK = 3
WEIGHT_COPIES_PER_CHECKPOINT = 4
CHECKPOINTS_ON_DISK = 4
"""The newest two, the best, and one that is being written; more if all are kept."""


@dataclass(frozen=True)
class Requirements:
    """The memory and disk that a run requires."""

    storage: StorageKind
    """How the frames are stored."""
    memory: tuple[DeviceMemory, ...]
    """Of each device; the first is the one that holds the frames."""
    disk_bytes: int
    """Size of checkpoints and logs."""
    checkpoint_bytes: int
    """Size of one checkpoint."""

    @property
    def memory_device(self) -> torch.device:
        """The device that holds the frames."""
        return self.memory[0].device

    @property
    def memory_bytes(self) -> int:
        """Memory of that device, for the frames and everything else."""
        return self.memory[0].bytes

    def shortage(self) -> tuple[DeviceMemory, AvailableMemory] | None:
        """Return the first memory that does not fit and what is available; None if all fits."""
        for required in self.memory:
            available = available_memory(required.device)
            if required.bytes > available.bytes:
                return required, available
        return None


def predict_requirements(recipe: Recipe) -> Requirements:
    """Predict the memory and disk of a run of any size, without starting it."""
    height, width = recipe.game.frame_shape
    try:
        learning = learning_memory(recipe)
    except RuntimeError as error:
        raise QcadeError(
            f"{type(recipe.torso).__name__} cannot read {height}x{width} frames: {error}"
        ) from error
    device = resolve(recipe.compute).device
    storage = choose_storage(recipe, device, learning.weights)
    ring = ring_bytes(recipe.ring_rows, recipe.environments, height, width)
    checkpoint = WEIGHT_COPIES_PER_CHECKPOINT * learning.weights + sampler_bytes(recipe) + 100_000
    logs = 50_000_000
    stored = ring // LEAST_COMPRESSION_ON_DISK if recipe.stores_frames else 0
    return Requirements(
        storage,
        predict_memory(recipe, storage, device, learning),
        _checkpoints_on_disk(recipe) * checkpoint + logs + stored,
        checkpoint,
    )


def _checkpoints_on_disk(recipe: Recipe) -> int:
    kept = recipe.checkpoints
    if kept.keep == "few" or kept.period_frames == 0:
        return CHECKPOINTS_ON_DISK
    return max(CHECKPOINTS_ON_DISK, recipe.total_frames // kept.period_frames + 2)


def shrink_to_fit(recipe: Recipe) -> Recipe:
    """Halve the replay capacity until the run fits into memory, with compressed frames if needed.

    By halving, a machine chooses the same capacity every time although its free memory varies. A
    recipe that does not fit with any capacity is returned unchanged.
    """
    smaller = recipe
    while (
        isinstance(smaller, ReplayRecipe) and predict_requirements(smaller).shortage() is not None
    ):
        half = smaller.replay.capacity // 2
        if half < self_sufficient_capacity(smaller):
            return recipe
        replay = dataclasses.replace(smaller.replay, capacity=half)
        smaller = dataclasses.replace(smaller, replay=replay)
    return smaller


def check_requirements(recipe: Recipe, folder: Path) -> Requirements:
    """Check that a run fits on this machine, before anything is written or opened.

    Raises QcadeError with a replay capacity that would fit, or with what the machine lacks.
    """
    requirements = predict_requirements(recipe)
    shortage = requirements.shortage()
    if shortage is not None:
        raise QcadeError(_refusal(recipe, requirements, *shortage))
    with writing_to(folder):
        free = available_disk_bytes(folder)
    if requirements.disk_bytes > free:
        raise QcadeError(
            f"the run needs {_gigabytes(requirements.disk_bytes)} of disk for checkpoints and "
            f"logs, but {folder} has {_gigabytes(free)}: free some space or choose another --out"
        )
    return requirements


def _refusal(
    recipe: Recipe, requirements: Requirements, required: DeviceMemory, available: AvailableMemory
) -> str:
    named = required.largest
    advice = named.advice
    holds_frames = required is requirements.memory[0]
    fits = _fitting_capacity(recipe, requirements, available) if holds_frames else 0
    if fits:
        named, advice = required.parts[0], f"--replay.capacity {fits} would fit"
    limit = f" ({available.limit})" if available.limit else ""
    kind = "GPU memory" if required.device.type == "cuda" else "memory"
    return (
        f"the run needs {_gigabytes(required.bytes)} of {kind} ({named.what}), "
        f"{_gigabytes(available.bytes)} is available{limit}: {advice}"
    )


def _fitting_capacity(
    recipe: Recipe, requirements: Requirements, available: AvailableMemory
) -> int:
    """Return the replay capacity that would fit, rounded down to thousands; 0 if none would."""
    if not isinstance(recipe, ReplayRecipe):
        return 0
    height, width = recipe.game.frame_shape
    frames = recipe.ring_rows * recipe.environments
    bytes_per_frame = ring_bytes(2, 1, height, width, requirements.storage)
    bytes_per_frame -= ring_bytes(1, 1, height, width, requirements.storage)
    bytes_per_frame += sampler_bytes(recipe) // frames
    other_bytes = requirements.memory_bytes - frames * bytes_per_frame
    fits = (available.bytes - other_bytes) // bytes_per_frame // 1000 * 1000
    return fits if fits >= self_sufficient_capacity(recipe) else 0


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
