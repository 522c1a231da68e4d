"""Predicting the memory of a recipe's networks, updates and acting, almost to the byte."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

from qcade.agent.learner import loss_of
from qcade.networks.q_network import QNetwork, build_q_network
from qcade.parts import AnyAlgorithm, HasQValues, ReplayAlgorithm, Torso
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.training.peak_memory import META, peak_bytes
from qcade.types import Batch, Future, Minibatch

MOST_ACTIONS = 18
ACTIVATION_BYTES_PER_PIXEL = 10
"""Activations of the Nature network per pixel of a stack; assumed for parts that cannot be
measured on the meta device."""


class LearningMemory(NamedTuple):
    """Memory for learning and acting, in bytes."""

    weights: int
    """Weights of one network."""
    update: int
    """Peak memory of one update: batch, activations and gradients."""
    acting: int
    """Peak memory of choosing an action in every environment."""


def learning_memory(recipe: Recipe) -> LearningMemory:
    """Predict the memory of a recipe's networks, of any size, without allocating them.

    If parts need real tensors, the network is built and the memory of updates is only estimated.
    Raises RuntimeError if the torso cannot process the frames.
    """
    sizes = (recipe.torso, recipe.algorithm, (recipe.stack, *recipe.game.frame_shape))
    rest = (update_size(recipe), recipe.environments)
    try:
        return _of_parts(*sizes, *rest)
    except TypeError:
        # Third-party parts may not be hashable.
        return _of_parts.__wrapped__(*sizes, *rest)


def update_size(recipe: Recipe) -> int:
    """Transitions per update, rounded up."""
    if isinstance(recipe, ReplayRecipe):
        return recipe.updates.batch_size
    assert isinstance(recipe, OnPolicyRecipe)
    rollouts = recipe.rollouts
    return -(-rollouts.decisions * recipe.environments // rollouts.minibatches)


# Cached, since it is called several times before a run starts.
@functools.lru_cache(maxsize=16)
def _of_parts(
    torso: Torso,
    algorithm: AnyAlgorithm,
    observation: tuple[int, int, int],
    batch: int,
    environments: int,
) -> LearningMemory:
    try:
        with META:
            network = build_q_network(torso, algorithm, observation, MOST_ACTIONS, seed=0)
        return LearningMemory(
            _weight_bytes(network),
            peak_bytes(lambda: _update(network, algorithm, observation, batch)),
            peak_bytes(lambda: _act(network, observation, environments)),
        )
    except Exception:
        # A third-party part may read values from its tensors or choose its own device.
        network = build_q_network(torso, algorithm, observation, MOST_ACTIONS, seed=0)
        pixels = observation[0] * observation[1] * observation[2]
        per_pixel = (2 + future_steps_of(algorithm)) * (1 + 4) + ACTIVATION_BYTES_PER_PIXEL
        return LearningMemory(
            _weight_bytes(network),
            batch * pixels * per_pixel,
            environments * pixels * (1 + 4 + ACTIVATION_BYTES_PER_PIXEL),
        )


def _weight_bytes(network: QNetwork) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())


def _update(
    network: QNetwork,
    algorithm: AnyAlgorithm,
    observation: tuple[int, int, int],
    batch: int,
) -> None:
    with META:
        transitions = empty_batch(algorithm, batch, observation)
    # Nothing is drawn on the meta device, so any generator works.
    loss = loss_of(algorithm, network, network, transitions, torch.Generator())
    torch.autograd.backward(loss.per_sample.mean())


@torch.no_grad()
def _act(network: QNetwork, observation: tuple[int, int, int], environments: int) -> None:
    stacks = torch.zeros(environments, *observation, dtype=torch.uint8, device=META)
    output: HasQValues = network(stacks, torch.Generator())
    output.q_values.argmax(1)


def future_steps_of(algorithm: AnyAlgorithm) -> int:
    """Steps of `Batch.future` that an algorithm needs; 0 for rollout algorithms."""
    return algorithm.future_steps if isinstance(algorithm, ReplayAlgorithm) else 0


def empty_batch(
    algorithm: AnyAlgorithm, size: int, observation: tuple[int, int, int]
) -> Batch | Minibatch:
    """A batch of zeros in the shapes that an algorithm needs, on PyTorch's default device."""
    observations = torch.zeros(size, *observation, dtype=torch.uint8)
    actions, numbers = torch.zeros(size, dtype=torch.int64), torch.zeros(size)
    if not isinstance(algorithm, ReplayAlgorithm):
        return Minibatch(observations, actions, numbers)
    steps, future = algorithm.future_steps, None
    if steps:
        future = Future(
            torch.zeros(size, steps, dtype=torch.int64),
            torch.zeros(size, steps, *observation, dtype=torch.uint8),
            torch.zeros(size, steps, dtype=torch.bool),
        )
    following = torch.zeros_like(observations)
    return Batch(observations, actions, numbers, torch.zeros_like(numbers), following, future)
