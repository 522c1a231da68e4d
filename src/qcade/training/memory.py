"""How much memory a run takes, of what, and how its replay memory is stored for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from qcade.machine import available_memory_bytes
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
LEAST_BESIDE_BYTES = 800_000_000
"""Beside frames and weights, however small the updates: some is left to spare."""
PROCESS_BYTES = 400_000_000
"""Of Python, PyTorch and qcade themselves: some 370 MB in a training with a small memory."""
EMULATOR_BYTES = 1_500_000
"""Of one Atari emulator: 1.3 to 1.45 MB were measured with 65 and 256 of them."""
TOO_SMALL = "this machine is too small for this recipe"


class MemoryPart(NamedTuple):
    """Something that takes memory."""

    bytes: int
    """How much of it."""
    what: str
    """What it is, for people."""
    advice: str
    """What takes less."""


@dataclass(frozen=True)
class DeviceMemory:
    """What a run takes of one device's memory."""

    device: torch.device
    """Whose memory."""
    parts: tuple[MemoryPart, ...]
    """What takes it."""

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(part.bytes for part in self.parts)

    @property
    def largest(self) -> MemoryPart:
        """The part that takes most."""
        return max(self.parts, key=lambda part: part.bytes)


def predict_memory(
    recipe: Recipe, storage: StorageKind, device: torch.device, learning: LearningMemory
) -> tuple[DeviceMemory, ...]:
    """Predict a run's memory on each device it uses, first the one where its frames are."""
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
    """Predict what the sampler takes, in memory and in a checkpoint, in bytes."""
    if not isinstance(recipe, ReplayRecipe):
        return 0
    return recipe.ring_rows * recipe.environments * recipe.replay.sampling.bytes_per_transition


def memory_device(storage: StorageKind, device: torch.device) -> torch.device:
    """Where the frames of a run on `device` are."""
    return device if storage == "raw" else torch.device("cpu")


def choose_storage(recipe: Recipe, device: torch.device, weight_bytes: int) -> StorageKind:
    """Say how the frames of a run are stored; `auto` is raw if that fits into memory free now.

    What is chosen changes how much memory and time a run takes, and on a processor no bit of what
    it learns.
    """
    if not isinstance(recipe, ReplayRecipe):
        return "raw"
    if recipe.replay.storage != "auto":
        return recipe.replay.storage
    learning = learning_memory(recipe)._replace(weights=weight_bytes)
    raw = predict_memory(recipe, "raw", device, learning)[0]
    return "raw" if raw.bytes <= available_memory_bytes(device) else "compressed"


def _on(device: torch.device, fixed: list[MemoryPart], beside: list[MemoryPart]) -> DeviceMemory:
    left = LEAST_BESIDE_BYTES - sum(part.bytes for part in beside)
    process = MemoryPart(max(left, PROCESS_BYTES), "PyTorch and qcade", TOO_SMALL)
    return DeviceMemory(device, (*fixed, *beside, process))


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
    """What updates and actions take: never at once, so the larger of the two."""
    parts = []
    if isinstance(recipe, OnPolicyRecipe):
        rollouts, decisions = recipe.rollouts, recipe.rollouts.decisions * recipe.environments
        update = MemoryPart(
            learning.update,
            f"updates of {update_size(recipe):,} decisions",
            "raise rollouts.minibatches or reduce rollouts.decisions",
        )
        # Values twice, as they came and stacked; place and goal of a decision in every epoch.
        a_decision = 2 * MOST_ACTIONS * 4 + (rollouts.epochs + 1) * (8 + 8 + 4)
        what = f"rollouts of {decisions:,} decisions"
        parts.append(MemoryPart(decisions * a_decision, what, "reduce rollouts.decisions"))
    else:
        size = f"updates.batch_size is {update_size(recipe):,}"
        update = MemoryPart(learning.update, size, "reduce updates.batch_size")
    acting = _of_environments(recipe, learning.acting)
    return [*parts, max(update, acting, key=lambda part: part.bytes)]


def _emulators(recipe: Recipe) -> MemoryPart:
    return _of_environments(recipe, recipe.environments * EMULATOR_BYTES)


def _of_environments(recipe: Recipe, size: int) -> MemoryPart:
    return MemoryPart(size, f"environments is {recipe.environments:,}", "reduce environments")
