"""What a recipe's networks, updates and choices of actions take of memory, to the byte almost."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

from qcade.networks.q_network import QNetwork, build_q_network
from qcade.parts import Algorithm, HasQValues, Torso
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.training.peak_memory import META, peak_bytes
from qcade.types import Batch, Future

MOST_ACTIONS = 18
ACTIVATION_BYTES_PER_PIXEL = 10
"""Of the Nature network, for a pixel of a stack: what is assumed of parts that need real tensors
to tell."""


class LearningMemory(NamedTuple):
    """Memory of what learns and acts, in bytes."""

    weights: int
    """Of one network."""
    update: int
    """The most that one update takes: batch, activations and gradients."""
    acting: int
    """The most that choosing an action in every environment takes."""


def learning_memory(recipe: Recipe) -> LearningMemory:
    """Work out what a recipe's networks take, however large, without building them.

    Only parts that cannot do without real tensors are built, and their updates guessed at.
    RuntimeError if the torso cannot read such frames.
    """
    sizes = (recipe.torso, recipe.algorithm, (recipe.stack, *recipe.game.frame_shape))
    rest = (update_size(recipe), recipe.environments, isinstance(recipe, ReplayRecipe))
    try:
        return _of_parts(*sizes, *rest)
    except TypeError:
        # Parts that cannot be hashed, as those of strangers may be.
        return _of_parts.__wrapped__(*sizes, *rest)


def update_size(recipe: Recipe) -> int:
    """Transitions an update."""
    if isinstance(recipe, ReplayRecipe):
        return recipe.updates.batch_size
    assert isinstance(recipe, OnPolicyRecipe)
    rollouts = recipe.rollouts
    return -(-rollouts.decisions * recipe.environments // rollouts.minibatches)


# Asked for several times before a run starts.
@functools.lru_cache(maxsize=16)
def _of_parts(
    torso: Torso,
    algorithm: Algorithm,
    observation: tuple[int, int, int],
    batch: int,
    environments: int,
    has_next: bool,
) -> LearningMemory:
    try:
        with META:
            network = build_q_network(torso, algorithm, observation, MOST_ACTIONS, seed=0)
        return LearningMemory(
            _weight_bytes(network),
            peak_bytes(lambda: _update(network, algorithm, observation, batch, has_next)),
            peak_bytes(lambda: _act(network, observation, environments)),
        )
    except Exception:
        # A stranger's part may want numbers of its tensors, or to put them on a device itself.
        network = build_q_network(torso, algorithm, observation, MOST_ACTIONS, seed=0)
        pixels = observation[0] * observation[1] * observation[2]
        one = (2 + algorithm.future_steps) * (1 + 4) + ACTIVATION_BYTES_PER_PIXEL
        return LearningMemory(
            _weight_bytes(network),
            batch * pixels * one,
            environments * pixels * (1 + 4 + ACTIVATION_BYTES_PER_PIXEL),
        )


def _weight_bytes(network: QNetwork) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())


def _update(
    network: QNetwork,
    algorithm: Algorithm,
    observation: tuple[int, int, int],
    batch: int,
    has_next: bool,
) -> None:
    with META:
        number, reward = torch.zeros(batch, dtype=torch.int64), torch.zeros(batch)
        s_tm1 = torch.zeros(batch, *observation, dtype=torch.uint8)
        s_t = torch.zeros_like(s_tm1) if has_next else s_tm1
        steps, future = algorithm.future_steps, None
        if steps:
            future = Future(
                torch.zeros(batch, steps, dtype=torch.int64),
                torch.zeros(batch, steps, *observation, dtype=torch.uint8),
                torch.zeros(batch, steps, dtype=torch.bool),
            )
        transitions = Batch(s_tm1, number, reward, torch.zeros_like(reward), s_t, future)
    # On the meta device any generator will do: nothing is drawn.
    loss = algorithm.loss(network, network, transitions, torch.Generator())
    torch.autograd.backward(loss.per_sample.mean())


@torch.no_grad()
def _act(network: QNetwork, observation: tuple[int, int, int], environments: int) -> None:
    stacks = torch.zeros(environments, *observation, dtype=torch.uint8, device=META)
    output: HasQValues = network(stacks, torch.Generator())
    output.q_values.argmax(1)
