"""Learning from rollouts: what is learned from, when, and towards which returns."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.agent.exploration import LinearEpsilon
from qcade.agent.optimizers import RAdam
from qcade.agent.targets import NoTarget
from qcade.algorithms.pqn import PQN
from qcade.compute.runners import MAX_STEPS_PER_GRAPH, Plan
from qcade.events import Advanced
from qcade.recipe import OnPolicyRecipe, Rollouts, validate
from qcade.recipes.pqn import pqn
from qcade.training.loop import make_runners, open_games, run
from qcade.training.parts import Training
from qcade.training.plan import build_training, plan_training
from qcade.training.rollout_source import RolloutSource
from qcade.training.snapshot import Snapshot, restore, take_snapshot
from qcade.types import Loss, Minibatch, QcadeError

from small_training import advance, due_plans, make_planned

ENVIRONMENTS, DECISIONS, EPOCHS, MINIBATCHES = 3, 9, 2, 4
ROLLOUTS = Rollouts(decisions=DECISIONS, epochs=EPOCHS, minibatches=MINIBATCHES, gamma=0.9)
OVERLAPPING = dataclasses.replace(ROLLOUTS, overlap=True)


def small(**changes: object) -> OnPolicyRecipe:
    recipe = dataclasses.replace(
        pqn("catch"),
        environments=ENVIRONMENTS,
        rollouts=ROLLOUTS,
        total_frames=ENVIRONMENTS * DECISIONS * 3,
    )
    compute = dataclasses.replace(recipe.compute, threads=1, precision="float32", device="cpu")
    return dataclasses.replace(recipe, compute=compute, **changes)  # type: ignore[arg-type]


def built(recipe: OnPolicyRecipe, snapshot: Snapshot | None = None) -> Training:
    training = build_training(plan_training(recipe))
    if snapshot is not None:
        restore(training, snapshot)
    return training


def source_of(training: Training) -> RolloutSource:
    assert isinstance(training.source, RolloutSource)
    return training.source


def played(rows: int) -> Training:
    """A training that has played so many rows at random, and made none of the updates due.

    The values of the newest row are not taken in yet.
    """
    training = built(small())
    open_games(training)
    randomness = np.random.default_rng(5)
    for _ in range(rows):
        advance(training, randomness)
    return training


def all_due(training: Training) -> list[Plan]:
    """Take in the values of the newest row; plan all updates that are due."""
    return [plan for plans in due_plans(training) for plan in plans]


def with_values(rows: int) -> Training:
    """What `played` gives, with the values of the newest row."""
    training = played(rows)
    all_due(training)
    return training


def test_updates_are_due_after_every_rollout_and_at_no_other_time() -> None:
    training = built(small())
    counts = [0, *(event.updates for event in run(training) if isinstance(event, Advanced))]
    training.close()
    per_rollout = EPOCHS * MINIBATCHES
    # The rollout's last decision is made in row T; learning overlaps with the row after it.
    changes = [row for row in range(1, len(counts)) if counts[row] != counts[row - 1]]
    assert changes == [DECISIONS + 1, 2 * DECISIONS + 1]
    assert counts[-1] == 2 * per_rollout


def test_every_epoch_learns_once_from_every_transition_and_from_no_opening() -> None:
    training = played(DECISIONS)
    parts = [tensors(plan) for plan in all_due(training)]
    assert len(parts) == EPOCHS * MINIBATCHES
    ring = training.ring
    wanted = {
        (row, environment)
        for row in range(DECISIONS)
        for environment in range(ENVIRONMENTS)
        if bool(ring.is_start(torch.tensor([row]), torch.tensor([environment])))
    }
    # Catch lasts 6 decisions, so each environment opens an episode within the rollout.
    assert len(wanted) == ENVIRONMENTS * (DECISIONS - 1)
    orders = []
    for epoch in (parts[:MINIBATCHES], parts[MINIBATCHES:]):
        seen = [
            pair
            for row, environment, _ in epoch
            for pair in zip(row.tolist(), environment.tolist(), strict=True)
        ]
        assert len(seen) == len(wanted)
        assert set(seen) == wanted
        orders.append(seen)
    assert orders[0] != orders[1]
    sizes = {len(row) for row, _, _ in parts}
    assert max(sizes) - min(sizes) <= 1


def tensors(plan: Plan) -> list[Tensor]:
    """What a plan is made from, where no number is among it."""
    return [value for value in plan.inputs if isinstance(value, Tensor)]


def test_a_rollout_holds_what_was_played_and_what_the_network_says_of_it() -> None:
    training = with_values(DECISIONS)
    rollout, ring = source_of(training).rollout(0), training.ring
    assert rollout.q_values.shape == (DECISIONS + 1, ENVIRONMENTS, 3)
    rows = ring.read_rows(0, DECISIONS + 1)
    assert torch.equal(rollout.a_tm1, rows["actions"][1:])
    assert torch.equal(rollout.r_t, rows["rewards"][1:])
    assert torch.equal(rollout.discount_t, 0.9 * rows["discounts"][1:])
    assert torch.equal(rollout.is_transition, ~rows["firsts"][1:])
    for row in range(DECISIONS + 1):
        every = torch.arange(ENVIRONMENTS)
        observations = ring.observations(torch.full_like(every, row), every)
        torch.testing.assert_close(
            rollout.q_values[row], training.learner.network(observations).q_values.detach()
        )


@dataclass(frozen=True)
class Told(PQN):
    """PQN that keeps the minibatches that it learns from."""

    minibatches: ClassVar[list[Minibatch]] = []

    def loss(
        self, online: nn.Module, minibatch: Minibatch, generator: torch.Generator | None
    ) -> Loss:
        Told.minibatches.append(minibatch)
        return super().loss(online, minibatch, generator)


def test_the_learner_is_given_returns_actions_and_observations_of_the_same_decisions() -> None:
    training = played(DECISIONS)
    Told.minibatches.clear()
    training.learner.algorithm = Told()
    plans = all_due(training)
    returns = PQN().compute_returns(source_of(training).rollout(0))
    returns_of: dict[bytes, list[float]] = defaultdict(list)
    for row in range(DECISIONS):
        for environment in range(ENVIRONMENTS):
            where = torch.tensor([row]), torch.tensor([environment])
            if bool(training.ring.is_start(*where)):
                seen = bytes(training.ring.observations(*where).numpy().tobytes())
                action = int(training.ring.action_at(where[0] + 1, where[1]))
                returns_of[seen + bytes([action])].append(float(returns[row, environment]))
    runners = make_runners(training)
    for plan in plans[:MINIBATCHES]:
        make_planned(training, runners, [plan])
    count = 0
    for minibatch in Told.minibatches:
        for i in range(len(minibatch.action)):
            key = minibatch.observation[i].numpy().tobytes() + bytes([int(minibatch.action[i])])
            returns_of[key].remove(float(minibatch.returns[i]))
            count += 1
    assert not any(returns_of.values())
    assert count == ENVIRONMENTS * (DECISIONS - 1)


def test_there_is_no_target_network() -> None:
    training = built(small())
    assert training.learner.target is training.learner.network
    assert isinstance(training.learner.target_update, NoTarget)
    training.close()


def test_the_step_size_may_fall_along_the_run() -> None:
    training = built(small(optimizer=RAdam(learning_rate=0.5, anneals=True)))
    rates = {
        training.learner.optimizer.param_groups[0]["lr"]
        for event in run(training)
        if isinstance(event, Advanced) and event.updates
    }
    training.close()
    # Two rounds of learning, after 9 and 18 of 27 rows.
    assert sorted(rates, reverse=True) == pytest.approx([0.5 * 2 / 3, 0.5 / 3])


def test_more_minibatches_than_decisions_are_refused() -> None:
    recipe = small()
    too_many = dataclasses.replace(recipe.rollouts, minibatches=14)
    with pytest.raises(QcadeError, match=r"rollouts\.minibatches is 14.*at most 12"):
        validate(dataclasses.replace(recipe, rollouts=too_many))
    validate(dataclasses.replace(recipe, rollouts=dataclasses.replace(too_many, minibatches=12)))


def test_returns_are_made_of_the_values_that_the_actor_saw() -> None:
    training = with_values(DECISIONS)
    source = source_of(training)
    before = source.rollout(0).q_values
    with torch.no_grad():
        for weight in training.learner.network.parameters():
            weight.add_(0.1)
    assert torch.equal(source.rollout(0).q_values, before)
    seen = torch.arange(ENVIRONMENTS * 3.0).view(ENVIRONMENTS, 3)
    next(source.due(training.clock, seen))
    assert torch.equal(source.rollout(0).q_values, torch.stack([*before[1:], seen]))


def test_the_actor_tells_the_values_of_every_row_of_a_rollout() -> None:
    training = advanced(small(), DECISIONS + 1)
    rows = torch.arange(DECISIONS).repeat_interleave(ENVIRONMENTS)
    environments = torch.arange(ENVIRONMENTS).repeat(DECISIONS)
    values = training.learner.q_values(training.ring.observations(rows, environments))
    saved = training.source.tensors()["values"]
    training.close()
    torch.testing.assert_close(saved.flatten(0, 1), values)


def test_values_of_a_half_played_rollout_are_saved() -> None:
    training, other = with_values(DECISIONS), built(small())
    source, restored = source_of(training), source_of(other)
    restored.restore(source.tensors())
    other.ring.append_rows(training.ring.read_rows(0, DECISIONS + 1))
    assert torch.equal(restored.rollout(0).q_values, source.rollout(0).q_values)
    training.close()
    other.close()


def overlapping(rollouts: Rollouts = OVERLAPPING, **changes: object) -> OnPolicyRecipe:
    """A recipe of overlapping rollouts that plays at random, so that what is seen never changes."""
    whole = ENVIRONMENTS * DECISIONS * 4
    return small(
        rollouts=rollouts,
        exploration=LinearEpsilon(start=1.0, end=1.0, decay_decisions=1),
        total_frames=whole,
        **changes,
    )


def advanced(recipe: OnPolicyRecipe, next_row: int) -> Training:
    """A training that has come so far."""
    training = built(recipe)
    for event in run(training):
        if isinstance(event, Advanced) and training.session.next_row == next_row:
            break
    return training


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_overlapping_updates_are_spread_over_the_rollout_that_follows(epochs: int) -> None:
    training = built(overlapping(dataclasses.replace(OVERLAPPING, epochs=epochs)))
    counts = [0, *(event.updates for event in run(training) if isinstance(event, Advanced))]
    training.close()
    made = [after - before for before, after in pairwise(counts)]
    assert made[:DECISIONS] == [0] * DECISIONS
    shares = [made[start : start + DECISIONS] for start in range(DECISIONS, len(made), DECISIONS)]
    assert len(shares) == 3
    updates = epochs * MINIBATCHES
    for share in shares:
        assert sum(share) == updates
        assert share[0] == max(share) == -(-updates // DECISIONS)
        assert max(share) - min(share) <= 1


def seen_in_training(rollouts: Rollouts) -> list[Counter[bytes]]:
    """What the learner was given of each rollout: observations with their actions."""
    training = built(overlapping(rollouts, algorithm=Told()))
    # Planning it went through the loss too, to learn what an update takes of memory.
    Told.minibatches.clear()
    for _ in run(training):
        pass
    training.close()
    per_rollout = EPOCHS * MINIBATCHES
    return [
        Counter(
            minibatch.observation[i].numpy().tobytes() + bytes([int(minibatch.action[i])])
            for minibatch in Told.minibatches[start : start + per_rollout]
            for i in range(len(minibatch.action))
        )
        for start in range(0, len(Told.minibatches), per_rollout)
    ]


def test_overlapping_rollouts_are_whole_although_the_ring_moves_on() -> None:
    at_once, spread = seen_in_training(ROLLOUTS), seen_in_training(OVERLAPPING)
    assert len(spread) == 3
    assert spread == at_once


@pytest.mark.parametrize("rows", [DECISIONS + 4, 2 * DECISIONS])
def test_a_rollout_half_learned_from_goes_on_after_a_restart(rows: int) -> None:
    recipe = overlapping()
    training = advanced(recipe, rows + 1)
    snapshot = take_snapshot(training)
    other = built(recipe, snapshot)
    oldest = max(0, rows + 1 - recipe.ring_rows)
    other.ring.start_at(oldest, 0)
    other.ring.append_rows(training.ring.read_rows(oldest, rows + 1))
    for each in (training, other):
        runners = make_runners(each)
        for plans in each.source.due(each.clock, torch.zeros(ENVIRONMENTS, 3)):
            make_planned(each, runners, plans)
        assert each.clock.updates > snapshot.counters.updates
    weights, others = (each.learner.network.state_dict() for each in (training, other))
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert not all(torch.equal(weights[name], snapshot.weights[name]) for name in weights)
    training.close()
    other.close()


def test_what_is_left_of_a_rollout_is_forgotten_with_the_memory() -> None:
    training = advanced(overlapping(), DECISIONS + 5)
    other = built(overlapping(), take_snapshot(training))
    open_games(other)
    assert source_of(other)._minibatches
    made = [event.updates for event in run(other) if isinstance(event, Advanced)]
    before = training.clock.updates
    assert made[: DECISIONS + 1] == [before] * DECISIONS + [before + 1]
    training.close()
    other.close()


def test_longer_rollouts_than_a_parents_wait_until_all_values_of_one_are_there() -> None:
    training = played(2 * DECISIONS)
    other = built(small(rollouts=dataclasses.replace(ROLLOUTS, decisions=2 * DECISIONS)))
    other.ring.start_at(DECISIONS, 0)
    other.ring.append_rows(training.ring.read_rows(DECISIONS, 2 * DECISIONS + 1))
    other.source.restore(training.source.tensors())
    assert len(all_due(training)) == EPOCHS * MINIBATCHES
    assert len(all_due(other)) == 0
    training.close()
    other.close()


def test_minibatches_of_rollouts_that_were_cut_otherwise_are_not_taken_over() -> None:
    training = advanced(overlapping(), DECISIONS + 5)
    saved = training.source.tensors()
    fewer = dataclasses.replace(OVERLAPPING, minibatches=3)
    for rollouts, taken_over in ((OVERLAPPING, True), (fewer, False), (ROLLOUTS, False)):
        other = built(overlapping(rollouts))
        other.source.restore(saved)
        assert bool(source_of(other)._minibatches) is taken_over
        other.close()
    # On a GPU they have weights beside them, and one size.
    other = built(overlapping())
    source = source_of(other)
    source.max_updates_per_graph = MAX_STEPS_PER_GRAPH
    source.restore(saved)
    assert not source._minibatches
    other.close()
    training.close()


def test_a_fork_with_other_environments_begins_its_rollouts_anew() -> None:
    training = advanced(overlapping(), DECISIONS + 5)
    wider = overlapping(environments=ENVIRONMENTS + 1)
    other = built(wider, take_snapshot(training))
    before = training.clock.updates
    for event in run(other):
        if isinstance(event, Advanced):
            assert take_snapshot(other).source["values"].shape[1] == ENVIRONMENTS + 1
            if event.updates > before:
                break
    assert other.session.next_row == training.session.next_row + DECISIONS + 2
    training.close()
    other.close()
