"""How the replay memory lies: as it is where it fits, else compressed."""

from __future__ import annotations

import torch

from qcade.machine import available_memory_bytes
from qcade.recipe import Recipe, ReplayRecipe
from qcade.replay.frames import ring_bytes
from qcade.replay.storage import StorageKind

MEMORY_BESIDE_RING_BYTES = 800_000_000
WEIGHT_COPIES = 4


def memory_bytes(recipe: Recipe, storage: StorageKind, weight_bytes: int) -> int:
    """Predict the memory of a run, in bytes, where its frames lie: the ring's and all beside it."""
    height, width = recipe.game.frame_shape
    ring = ring_bytes(recipe.ring_rows, recipe.environments, height, width, storage)
    beside = MEMORY_BESIDE_RING_BYTES + sampler_bytes(recipe) + WEIGHT_COPIES * weight_bytes
    return ring + beside


def sampler_bytes(recipe: Recipe) -> int:
    """Predict what the sampler takes, in memory and in a checkpoint, in bytes."""
    if not isinstance(recipe, ReplayRecipe):
        return 0
    return recipe.ring_rows * recipe.environments * recipe.replay.sampling.bytes_per_transition


def memory_device(storage: StorageKind, device: torch.device) -> torch.device:
    """Where the frames of a run on `device` lie."""
    return device if storage == "raw" else torch.device("cpu")


def choose_storage(recipe: Recipe, device: torch.device, weight_bytes: int) -> StorageKind:
    """Say how the frames of a run lie; `auto` is raw if that fits into memory that is free now.

    What is chosen changes how much memory and time a run takes, and on a processor no bit of what
    it learns.
    """
    if not isinstance(recipe, ReplayRecipe):
        return "raw"
    if recipe.replay.storage != "auto":
        return recipe.replay.storage
    raw = memory_bytes(recipe, "raw", weight_bytes)
    return "raw" if raw <= available_memory_bytes(device) else "compressed"
