"""Continuing from a snapshot: what is counted on, and what another machine changes."""

from __future__ import annotations

import dataclasses

import torch

from qcade.recipe import Recipe
from qcade.training.loop import make_runners
from qcade.training.parts import Training
from qcade.training.plan import build_training, plan_training
from qcade.training.snapshot import Snapshot, restore, take_snapshot

from small_training import make_due_updates, played, small_recipe


def restored(recipe: Recipe, snapshot: Snapshot) -> Training:
    training = build_training(plan_training(recipe))
    restore(training, snapshot)
    return training


def test_noise_goes_on_from_a_seed_where_another_kind_of_device_drew_it() -> None:
    recipe = small_recipe("rainbow")
    training = played(recipe)
    make_due_updates(training, make_runners(training))
    # As a CUDA GPU's generator says where it is.
    noise = torch.arange(16, dtype=torch.uint8)
    snapshot = dataclasses.replace(take_snapshot(training), noise_random=noise)
    one, other = (restored(recipe, snapshot) for _ in range(2))
    fresh = build_training(plan_training(recipe))
    states = [each.noise.get_state() for each in (one, other, training, fresh)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert not torch.equal(states[0], states[3])
    assert torch.equal(one.actor.generator.get_state(), training.actor.generator.get_state())
    for each in (training, one, other, fresh):
        each.close()


def test_decisions_updates_and_episodes_are_counted_on() -> None:
    recipe = small_recipe("dqn")
    training = played(recipe)
    make_due_updates(training, make_runners(training))
    training.clock.episodes = 4
    other = restored(recipe, take_snapshot(training))
    assert other.clock == training.clock
    assert other.clock.updates > 0
    assert other.session.next_row == training.session.next_row
    for each in (training, other):
        each.close()
