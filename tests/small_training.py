"""Trainings of any recipe on Catch that are ready to update at once."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from qcade.parts import Environments
from qcade.recipe import Compute, OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.recipes import make_recipe
from qcade.training.loop import open_environments
from qcade.training.state import Training

ENVIRONMENTS, BATCH = 3, 5


def small_recipe(name: str, compute: Compute | None = None) -> Recipe:
    """A recipe by name, on Catch, with batches and rollouts of a few decisions."""
    recipe = dataclasses.replace(
        make_recipe(name, "catch"),
        environments=ENVIRONMENTS,
        compute=compute or Compute(device="cpu", precision="float32", threads=1),
    )
    if isinstance(recipe, OnPolicyRecipe):
        rollouts = dataclasses.replace(recipe.rollouts, decisions=7, minibatches=4)
        return dataclasses.replace(recipe, rollouts=rollouts)
    assert isinstance(recipe, ReplayRecipe)
    updates = dataclasses.replace(
        recipe.updates, start_frames=60, period_decisions=ENVIRONMENTS, batch_size=BATCH
    )
    return dataclasses.replace(recipe, updates=updates)


def played(recipe: Recipe) -> Training:
    """A training that has played at random until updates are due, and learned nothing."""
    training = Training(recipe)
    open_environments(training)
    randomness = np.random.default_rng(5)
    while not training.updates.due(training.decisions):
        advance(training, randomness)
    training.updates.heard(None)
    return training


def advance(training: Training, randomness: np.random.Generator) -> None:
    """Play one row at random."""
    environments: Environments = training.environments
    training.updates.heard(None)
    actions = randomness.integers(3, size=ENVIRONMENTS)
    environments.send(actions)
    training.append(environments.recv(), actions, ())
    training.decisions += ENVIRONMENTS


def everything(training: Training) -> dict[str, Tensor]:
    """All tensors of a checkpoint."""
    snapshot = training.snapshot()
    return {**snapshot.model, **snapshot.learning}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Compare to the last bit."""
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
