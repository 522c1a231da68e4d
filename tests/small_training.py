"""Trainings of any recipe on Catch that are ready to update at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from qcade.compute.runners import Plan
from qcade.recipe import Compute, OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.recipes import make_recipe
from qcade.training.loop import (
    NO_INPUT,
    Runners,
    make_updates,
    open_games,
    reset_if_due,
    value_newest,
)
from qcade.training.parts import Training
from qcade.training.plan import build_training, plan_training
from qcade.training.snapshot import take_snapshot

from snapshots import tensors_of

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
    """A training that has played at random until updates are due, and made and planned none."""
    training = build_training(plan_training(recipe))
    open_games(training)
    if isinstance(recipe, OnPolicyRecipe):
        rows = recipe.rollouts.decisions
    else:
        assert isinstance(recipe, ReplayRecipe)
        rows = recipe.start_rows
    randomness = np.random.default_rng(5)
    for _ in range(rows):
        assert advance(training, randomness) == 0
    return training


def advance(training: Training, randomness: np.random.Generator) -> int:
    """Play one row at random; return how many updates were due, none of which is made."""
    due = sum(len(plans) for plans in due_plans(training))
    environments = training.recipe.environments
    training.session.send(randomness.integers(3, size=environments))
    training.session.receive()
    training.clock.decisions += environments
    return due


def due_plans(training: Training) -> Iterator[list[Plan]]:
    """Plan the updates that are due, once a row, since a source takes in the row's values."""
    values = None
    if training.source.needs_q_values:
        values = value_newest(training, NO_INPUT)["q_values"]
    return training.source.due(training.clock, values)


def make_planned(training: Training, runners: Runners, plans: list[Plan]) -> None:
    """Make some updates by hand, and what comes after them."""
    training.learner.set_learning_rate(training.progress)
    training.metrics.add(make_updates(training, runners, plans), len(plans))
    training.clock.updates += len(plans)
    training.learner.update_target(training.clock.updates)
    reset_if_due(training, runners)


def make_due_updates(training: Training, runners: Runners) -> None:
    """Make the updates that are due, once a row."""
    for plans in due_plans(training):
        make_planned(training, runners, plans)


def make_next_updates(training: Training, runners: Runners, count: int) -> None:
    """Make so many updates one by one, whether or not they are due."""
    for _ in range(count):
        make_planned(training, runners, training.source.next_plans(training.clock, 1))


def everything(training: Training) -> dict[str, Tensor]:
    """All tensors of a checkpoint."""
    return tensors_of(take_snapshot(training))


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Compare to the last bit."""
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
