"""What a run will take, and whether this machine has it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from qcade.files.whole import writing_to
from qcade.machine import available_disk_bytes, available_memory_bytes, resolve
from qcade.networks.q_network import build_q_network
from qcade.recipe import Recipe, ReplayRecipe, self_sufficient_capacity
from qcade.replay.frames import ring_bytes
from qcade.replay.storage import StorageKind
from qcade.training.memory import choose_storage, memory_bytes, memory_device, sampler_bytes
from qcade.types import QcadeError

MOST_ACTIONS = 18
LEAST_COMPRESSION_ON_DISK = 3
WEIGHT_COPIES_PER_CHECKPOINT = 4
CHECKPOINTS_ON_DISK = 4
"""The newest two, the best, and one that is being written."""


@dataclass(frozen=True)
class Needs:
    """What a run will take."""

    storage: StorageKind
    """How the frames will lie."""
    memory_device: torch.device
    """Where they will."""
    memory_bytes: int
    """Of the frame ring and everything beside it, on that device."""
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
    device = resolve(recipe.compute).device
    storage = choose_storage(recipe, device, weights)
    ring = ring_bytes(recipe.ring_rows, recipe.environments, height, width)
    checkpoint = WEIGHT_COPIES_PER_CHECKPOINT * weights + sampler_bytes(recipe) + 100_000
    logs = 50_000_000
    stored = ring // LEAST_COMPRESSION_ON_DISK if recipe.stores_frames else 0
    return Needs(
        storage,
        memory_device(storage, device),
        memory_bytes(recipe, storage, weights),
        CHECKPOINTS_ON_DISK * checkpoint + logs + stored,
        checkpoint,
    )


def fitted(recipe: Recipe) -> Recipe:
    """Halve the replay capacity until the run, compressed if need be, fits into memory.

    Halves, so that the same machine chooses the same capacity again although its free memory
    is never quite the same.
    """
    if not isinstance(recipe, ReplayRecipe):
        return recipe
    while (needs := predict_needs(recipe)).memory_bytes > available_memory_bytes(
        needs.memory_device
    ):
        half = recipe.replay.capacity // 2
        if half < self_sufficient_capacity(recipe):
            break
        replay = dataclasses.replace(recipe.replay, capacity=half)
        recipe = dataclasses.replace(recipe, replay=replay)
    return recipe


def check_needs(recipe: Recipe, folder: Path) -> Needs:
    """Refuse a run that cannot start, or that does not fit, before anything is written.

    Raises QcadeError: with the number that would fit, or with what the game or device lacks.
    """
    recipe.game.open(1, 0, 1).close()
    needs = predict_needs(recipe)
    available = available_memory_bytes(needs.memory_device)
    if needs.memory_bytes > available:
        height, width = recipe.game.frame_shape
        one = ring_bytes(2, 1, height, width, needs.storage)
        one -= ring_bytes(1, 1, height, width, needs.storage)
        frames = recipe.ring_rows * recipe.environments
        one += sampler_bytes(recipe) // frames
        fits = max(0, (available - (needs.memory_bytes - frames * one)) // one) // 1000 * 1000
        advice = "this machine is too small for this recipe"
        if isinstance(recipe, ReplayRecipe) and fits >= self_sufficient_capacity(recipe):
            advice = f"--replay.capacity {fits} would fit"
        raise QcadeError(
            f"the run needs {_gigabytes(needs.memory_bytes)} of memory "
            f"({frames:,} frames of {height}x{width}, {needs.storage}), "
            f"{_gigabytes(available)} is available: {advice}"
        )
    with writing_to(folder):
        free = available_disk_bytes(folder)
    if needs.disk_bytes > free:
        raise QcadeError(
            f"the run needs {_gigabytes(needs.disk_bytes)} of disk for checkpoints and logs, "
            f"{folder} has {_gigabytes(free)}: free some space or choose another --out"
        )
    return needs


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
