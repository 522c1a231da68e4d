"""Work that is counted, against multiply-adds worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest

from qcade.doctor.counting import (
    Work,
    batch_size,
    count_work,
    learning_decisions,
    updates_per_decision,
)
from qcade.recipe import Recipe
from qcade.recipes import make_recipe
from qcade.recipes.bbf import bbf
from qcade.recipes.btr import btr
from qcade.recipes.dqn import dqn
from qcade.recipes.pqn import pqn

# 84x84 frames: 20x20x32 of 8x8x4, 9x9x64 of 4x4x32, 7x7x64 of 3x3x64, 512 of 3,136, 6 of 512.
FIRST_LAYER = 3_276_800
FORWARD = FIRST_LAYER + 2_654_208 + 1_806_336 + 1_605_632 + 3_072


def test_a_forward_pass_of_the_nature_network_by_hand() -> None:
    assert count_work(dqn("pong"), actions=6).acting == FORWARD == 9_346_048


@pytest.mark.parametrize(
    ("recipe", "multiply_adds"),
    [
        # Forward online and target; back for the weights, and for all inputs but the frames.
        (dqn("pong"), 32 * (4 * FORWARD - FIRST_LAYER)),
        # Forward once more, online, for the next observation.
        (make_recipe("double-dqn", "pong"), 32 * (5 * FORWARD - FIRST_LAYER)),
        # No target: the goals are there.
        (pqn("pong"), 128 * (3 * FORWARD - FIRST_LAYER)),
    ],
    ids=lambda value: value.name if isinstance(value, Recipe) else "",
)
def test_an_update_of_the_nature_network_by_hand(recipe: Recipe, multiply_adds: int) -> None:
    assert count_work(recipe, actions=6).update == multiply_adds


def test_an_update_is_proportional_to_its_batch() -> None:
    recipe = dqn("pong")
    larger = dataclasses.replace(recipe, updates=dataclasses.replace(recipe.updates, batch_size=80))
    once, more = count_work(recipe, 4), count_work(larger, 4)
    assert more == Work(once.update * 80 // 32, once.acting)


@pytest.mark.parametrize(
    ("name", "updates", "batch"), [("dqn", 1 / 4, 32), ("btr", 1 / 64, 256), ("bbf", 2.0, 32)]
)
def test_updates_of_replay_recipes(name: str, updates: float, batch: int) -> None:
    recipe = make_recipe(name, "pong")
    assert updates_per_decision(recipe) == updates
    assert batch_size(recipe) == batch


def test_updates_of_rollouts() -> None:
    # 128 environments play 32 decisions each; 32 minibatches twice over.
    assert updates_per_decision(pqn("pong")) == 64 / 4_096
    assert batch_size(pqn("pong")) == 128


def test_nothing_is_learned_while_the_memory_fills() -> None:
    assert learning_decisions(dqn("pong")) == 2_500_000 - 20_000
    assert learning_decisions(btr("pong")) == 50_000_000 - 200_000
    assert learning_decisions(bbf("pong")) == 100_000 - 2_000
    assert learning_decisions(pqn("pong")) == 50_000_000
    assert learning_decisions(dataclasses.replace(dqn("pong"), total_frames=400)) == 0
