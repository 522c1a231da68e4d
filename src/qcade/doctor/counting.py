"""Counting the work of a recipe: updates, and the multiply-adds of its networks."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from qcade.agent.learner import loss_of
from qcade.networks.q_network import QNetwork, build_q_network
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.training.learning_memory import empty_batch

COUNTED_BATCH = 2
"""Counts are proportional to the batch size, so a small batch is enough."""
FLOPS_PER_MULTIPLY_ADD = 2


class Work(NamedTuple):
    """Multiply-adds of convolutions and matrix products; elementwise operations do not count."""

    update: int
    """Of one gradient update: all passes through all networks."""
    acting: int
    """Of one observation's Q-values."""


def updates_per_decision(recipe: Recipe) -> float:
    """Updates per decision of one environment while a recipe learns."""
    if isinstance(recipe, ReplayRecipe):
        return recipe.updates.per_period / recipe.updates.period_decisions
    assert isinstance(recipe, OnPolicyRecipe)
    return updates_per_rollout(recipe) / (recipe.rollouts.decisions * recipe.environments)


def updates_per_rollout(recipe: OnPolicyRecipe) -> int:
    """Updates per rollout of all environments."""
    return recipe.rollouts.epochs * recipe.rollouts.minibatches


def batch_size(recipe: Recipe) -> int:
    """Transitions per update."""
    if isinstance(recipe, ReplayRecipe):
        return recipe.updates.batch_size
    assert isinstance(recipe, OnPolicyRecipe)
    rollouts = recipe.rollouts
    return rollouts.decisions * recipe.environments // rollouts.minibatches


def learning_decisions(recipe: Recipe) -> int:
    """Decisions of a run with updates: all but those before `updates.start_frames`."""
    decisions = recipe.total_frames // recipe.game.frames_per_decision
    if isinstance(recipe, ReplayRecipe):
        return max(0, decisions - recipe.start_rows * recipe.environments)
    return decisions


def count_work(recipe: Recipe, actions: int, network: QNetwork | None = None) -> Work:
    """Count the multiply-adds of a recipe for a game with this number of actions.

    Counted on a small batch through the real loss, forward and backward: on `network`, whose
    weights do not change, or on a new one.
    """
    shape = (recipe.stack, *recipe.game.frame_shape)
    network = network or build_q_network(recipe.torso, recipe.algorithm, shape, actions, 0)
    online, target = network, copy.deepcopy(network)
    generator = torch.Generator().manual_seed(0)
    batch = empty_batch(recipe.algorithm, COUNTED_BATCH, shape)
    with FlopCounterMode(display=False) as counter:
        loss = loss_of(recipe.algorithm, online, target, batch, generator)
        torch.autograd.backward(loss.per_sample.mean())
    update = counter.get_total_flops() * batch_size(recipe) // COUNTED_BATCH
    acting = _count_forward(online, batch[0], generator) // COUNTED_BATCH
    return Work(update // FLOPS_PER_MULTIPLY_ADD, acting // FLOPS_PER_MULTIPLY_ADD)


@torch.no_grad()
def _count_forward(network: nn.Module, observations: Tensor, generator: torch.Generator) -> int:
    with FlopCounterMode(display=False) as counter:
        network(observations, generator)
    flops: int = counter.get_total_flops()
    return flops
