"""Counting the work of a recipe: updates, and the multiply-adds of its networks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from qcade.networks.q_network import build_q_network
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.types import Batch, Future

COUNTED_BATCH = 2
"""The counts are proportional to the batch, so that of a small one is enough."""
FLOPS_A_MULTIPLY_ADD = 2


class Work(NamedTuple):
    """Multiply-adds of convolutions and matrix products; what is elementwise is not counted."""

    update: int
    """Of one gradient update, all passes of all networks."""
    acting: int
    """Of valuing one observation."""


def updates_per_decision(recipe: Recipe) -> float:
    """How many updates belong to one decision of one environment while a recipe learns."""
    if isinstance(recipe, ReplayRecipe):
        return recipe.updates.per_period / recipe.updates.period_decisions
    assert isinstance(recipe, OnPolicyRecipe)
    return updates_per_rollout(recipe) / (recipe.rollouts.decisions * recipe.environments)


def updates_per_rollout(recipe: OnPolicyRecipe) -> int:
    """How many updates follow each rollout of all environments."""
    return recipe.rollouts.epochs * recipe.rollouts.minibatches


def batch_size(recipe: Recipe) -> int:
    """Transitions that one update learns from."""
    if isinstance(recipe, ReplayRecipe):
        return recipe.updates.batch_size
    assert isinstance(recipe, OnPolicyRecipe)
    rollouts = recipe.rollouts
    return rollouts.decisions * recipe.environments // rollouts.minibatches


def learning_decisions(recipe: Recipe) -> int:
    """Decisions of a run that updates belong to: all but those that first fill the memory."""
    decisions = recipe.total_frames // recipe.game.frames_per_decision
    if isinstance(recipe, ReplayRecipe):
        return max(0, decisions - recipe.start_rows * recipe.environments)
    return decisions


def count_work(recipe: Recipe, actions: int) -> Work:
    """Count the multiply-adds of a recipe for a game with so many actions.

    Nothing is predicted: a small batch goes through the real loss and back.
    """
    shape = (recipe.stack, *recipe.game.frame_shape)
    online, target = (
        build_q_network(recipe.torso, recipe.algorithm, shape, actions, seed) for seed in (0, 1)
    )
    generator = torch.Generator().manual_seed(0)
    batch = _empty_batch(COUNTED_BATCH, shape, recipe.algorithm.future_steps)
    with FlopCounterMode(display=False) as counter:
        loss = recipe.algorithm.loss(online, target, batch, generator)
        torch.autograd.backward(loss.per_sample.mean())
    update = counter.get_total_flops() * batch_size(recipe) // COUNTED_BATCH
    acting = _count_forward(online, batch, generator) // COUNTED_BATCH
    return Work(update // FLOPS_A_MULTIPLY_ADD, acting // FLOPS_A_MULTIPLY_ADD)


@torch.no_grad()
def _count_forward(network: nn.Module, batch: Batch, generator: torch.Generator) -> int:
    with FlopCounterMode(display=False) as counter:
        network(batch.s_tm1, generator)
    flops: int = counter.get_total_flops()
    return flops


def _empty_batch(count: int, shape: tuple[int, int, int], future_steps: int) -> Batch:
    def observations(*sizes: int) -> torch.Tensor:
        return torch.zeros(*sizes, *shape, dtype=torch.uint8)

    actions = torch.zeros(count, dtype=torch.int64)
    future = None
    if future_steps:
        future = Future(
            actions[:, None].repeat(1, future_steps),
            observations(count, future_steps),
            torch.ones(count, future_steps, dtype=torch.bool),
        )
    rewards, discounts = torch.zeros(count), torch.ones(count)
    return Batch(observations(count), actions, rewards, discounts, observations(count), future)
