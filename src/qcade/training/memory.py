"""Predicting how much memory a run needs and for what, and choosing how frames are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from qcade.compute.hardware import available_memory_bytes
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.replay.frames import ring_bytes
from qcade.replay.storage import StorageKind
from qcade.training.learning_memory import (
    MOST_ACTIONS,
    LearningMemory,
    learning_memory,
    update_size,
)

WEIGHT_COPIES = 4
LEAST_OTHER_BYTES = 800_000_000
"""At least this much is reserved in addition to frames and weights, as a safety margin."""
PROCESS_BYTES = 400_000_000
"""For Python, PyTorch and qcade themselves: about 370 MB were measured in a small run."""
EMULATOR_BYTES = 1_500_000
"""Per Atari emulator: 1.3 to 1.45 MB were measured with 65 and 256 emulators."""
TOO_SMALL = "this machine is too small for this recipe"


class MemoryPart(NamedTuple):
    """One use of memory."""

    bytes: int
    """Its size."""
    what: str
    """Human-readable description."""
    advice: str
    """How to reduce it."""


@dataclass(frozen=True)
class DeviceMemory:
    """The memory that a run needs on one device."""

    device: torch.device
    """The device."""
    parts: tuple[MemoryPart, ...]
    """What the memory is used for."""

    @property
    def bytes(self) -> int:
        """The total."""
        return sum(part.bytes for part in self.parts)

    @property
    def largest(self) -> MemoryPart:
        """The largest part."""
        return max(self.parts, key=lambda part: part.bytes)


def predict_memory(
    recipe: Recipe, storage: StorageKind, device: torch.device, learning: LearningMemory
) -> tuple[DeviceMemory, ...]:
    """Predict a run's memory on each device it uses; the device with the frames comes first."""
    place, frames = memory_device(storage, device), _frames(recipe, storage)
    sampler = frames._replace(bytes=sampler_bytes(recipe))
    weights, learns, plays = _weights(learning), _learning(recipe, learning), _emulators(recipe)
    if device.type != "cuda":
        return (_on(place, [frames, sampler, weights], [*learns, plays]),)
    host = torch.device("cpu")
    if storage == "raw":
        return (_on(device, [frames, sampler, weights], learns), _on(host, [], [plays]))
    return (_on(host, [frames], [plays]), _on(device, [sampler, weights], learns))


def sampler_bytes(recipe: Recipe) -> int:
    """Predict the size of the sampler in bytes, in memory and in a checkpoint."""
    if not isinstance(recipe, ReplayRecipe):
        return 0
    return recipe.ring_rows * recipe.environments * recipe.replay.sampling.bytes_per_transition


def memory_device(storage: StorageKind, device: torch.device) -> torch.device:
    """The device that stores the frames of a run on `device`."""
    return device if storage == "raw" else torch.device("cpu")


def choose_storage(recipe: Recipe, device: torch.device, weight_bytes: int) -> StorageKind:
    """Choose how the frames of a run are stored; `auto` is raw if that fits into free memory.

    The choice affects memory and speed; on a CPU it does not change the results.
    """
    if not isinstance(recipe, ReplayRecipe):
        return "raw"
    if recipe.replay.storage != "auto":
        return recipe.replay.storage
    learning = learning_memory(recipe)._replace(weights=weight_bytes)
    raw = predict_memory(recipe, "raw", device, learning)[0]
    return "raw" if raw.bytes <= available_memory_bytes(device) else "compressed"


def _on(device: torch.device, fixed: list[MemoryPart], others: list[MemoryPart]) -> DeviceMemory:
    left = LEAST_OTHER_BYTES - sum(part.bytes for part in others)
    process = MemoryPart(max(left, PROCESS_BYTES), "PyTorch and qcade", TOO_SMALL)
    return DeviceMemory(device, (*fixed, *others, process))


def _frames(recipe: Recipe, storage: StorageKind) -> MemoryPart:
    height, width = recipe.game.frame_shape
    count = recipe.ring_rows * recipe.environments
    advice = TOO_SMALL if isinstance(recipe, ReplayRecipe) else "reduce rollouts.decisions"
    return MemoryPart(
        ring_bytes(recipe.ring_rows, recipe.environments, height, width, storage),
        f"{count:,} frames of {height}x{width}, {storage}",
        advice,
    )


def _weights(learning: LearningMemory) -> MemoryPart:
    size = WEIGHT_COPIES * learning.weights
    weights = learning.weights // torch.float32.itemsize
    return MemoryPart(size, f"a network of {weights:,} weights", "choose a smaller torso or head")


def _learning(recipe: Recipe, learning: LearningMemory) -> list[MemoryPart]:
    """Memory of learning and acting, which never run at once: the larger of the two counts."""
    parts = []
    if isinstance(recipe, OnPolicyRecipe):
        rollouts, decisions = recipe.rollouts, recipe.rollouts.decisions * recipe.environments
        update = MemoryPart(
            learning.update,
            f"updates of {update_size(recipe):,} decisions",
            "raise rollouts.minibatches or reduce rollouts.decisions",
        )
        # Q-values twice, single and stacked; per epoch, row, environment and return of a decision.
        bytes_per_decision = 2 * MOST_ACTIONS * 4 + (rollouts.epochs + 1) * (8 + 8 + 4)
        what = f"rollouts of {decisions:,} decisions"
        parts.append(MemoryPart(decisions * bytes_per_decision, what, "reduce rollouts.decisions"))
    else:
        size = f"updates.batch_size is {update_size(recipe):,}"
        update = MemoryPart(learning.update, size, "reduce updates.batch_size")
    acting = _of_environments(recipe, learning.acting)
    return [*parts, max(update, acting, key=lambda part: part.bytes)]


def _emulators(recipe: Recipe) -> MemoryPart:
    return _of_environments(recipe, recipe.environments * EMULATOR_BYTES)


def _of_environments(recipe: Recipe, size: int) -> MemoryPart:
    return MemoryPart(size, f"environments is {recipe.environments:,}", "reduce environments")
