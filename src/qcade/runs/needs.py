"""What a run will take, and whether this machine has it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from qcade.files.whole import writing_to
from qcade.games.opening import try_out
from qcade.machine import AvailableMemory, available_disk_bytes, available_memory, resolve
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
"""The newest two, the best, and one that is being written; where all are kept, more."""


@dataclass(frozen=True)
class Needs:
    """What a run will take."""

    storage: StorageKind
    """How the frames are stored."""
    memory: tuple[DeviceMemory, ...]
    """Of each device; first the one where the frames are."""
    disk_bytes: int
    """Of checkpoints and logs."""
    checkpoint_bytes: int
    """Of one checkpoint."""

    @property
    def memory_device(self) -> torch.device:
        """Where the frames are."""
        return self.memory[0].device

    @property
    def memory_bytes(self) -> int:
        """Of the frames and everything beside them, on that device."""
        return self.memory[0].bytes

    def shortage(self) -> tuple[DeviceMemory, AvailableMemory] | None:
        """What does not fit, and the memory there is; None if all fits."""
        for wanted in self.memory:
            available = available_memory(wanted.device)
            if wanted.bytes > available.bytes:
                return wanted, available
        return None


def predict_needs(recipe: Recipe) -> Needs:
    """Predict the memory and disk of a run without starting it, however large it is."""
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
    return Needs(
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


def fitted(recipe: Recipe) -> Recipe:
    """Halve the replay capacity until the run, compressed if need be, fits into memory.

    Halves, so that the same machine chooses the same capacity again although its free memory
    is never quite the same. A recipe that fits with no capacity stays as it is.
    """
    smaller = recipe
    while isinstance(smaller, ReplayRecipe) and predict_needs(smaller).shortage() is not None:
        half = smaller.replay.capacity // 2
        if half < self_sufficient_capacity(smaller):
            return recipe
        replay = dataclasses.replace(smaller.replay, capacity=half)
        smaller = dataclasses.replace(smaller, replay=replay)
    return smaller


def check_needs(recipe: Recipe, folder: Path) -> Needs:
    """Refuse a run that cannot start, or that does not fit, before anything is written.

    Raises QcadeError: with the number that would fit, or with what the game or device lacks.
    """
    try_out(recipe.game)
    needs = predict_needs(recipe)
    shortage = needs.shortage()
    if shortage is not None:
        raise QcadeError(_refusal(recipe, needs, *shortage))
    with writing_to(folder):
        free = available_disk_bytes(folder)
    if needs.disk_bytes > free:
        raise QcadeError(
            f"the run needs {_gigabytes(needs.disk_bytes)} of disk for checkpoints and logs, "
            f"{folder} has {_gigabytes(free)}: free some space or choose another --out"
        )
    return needs


def _refusal(recipe: Recipe, needs: Needs, wanted: DeviceMemory, available: AvailableMemory) -> str:
    named = wanted.largest
    advice = named.advice
    fits = _fitting_capacity(recipe, needs, available) if wanted is needs.memory[0] else 0
    if fits:
        named, advice = wanted.parts[0], f"--replay.capacity {fits} would fit"
    limit = f" ({available.limit})" if available.limit else ""
    kind = "GPU memory" if wanted.device.type == "cuda" else "memory"
    return (
        f"the run needs {_gigabytes(wanted.bytes)} of {kind} ({named.what}), "
        f"{_gigabytes(available.bytes)} is available{limit}: {advice}"
    )


def _fitting_capacity(recipe: Recipe, needs: Needs, available: AvailableMemory) -> int:
    """The replay capacity that would fit where the frames are, in thousands; 0 for none."""
    if not isinstance(recipe, ReplayRecipe):
        return 0
    height, width = recipe.game.frame_shape
    frames = recipe.ring_rows * recipe.environments
    one = ring_bytes(2, 1, height, width, needs.storage)
    one -= ring_bytes(1, 1, height, width, needs.storage)
    one += sampler_bytes(recipe) // frames
    fits = (available.bytes - (needs.memory_bytes - frames * one)) // one // 1000 * 1000
    return fits if fits >= self_sufficient_capacity(recipe) else 0


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
