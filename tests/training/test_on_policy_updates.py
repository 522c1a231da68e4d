"""Learning from rollouts: what is learned from, when, and towards which goals."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch

from qcade.agent.exploration import LinearEpsilon
from qcade.agent.optimizers import RAdam
from qcade.agent.targets import NoTarget
from qcade.algorithms.pqn import PQN
from qcade.recipe import OnPolicyRecipe, Rollouts, validate
from qcade.recipes.pqn import pqn
from qcade.training.cuda_graph import Written
from qcade.training.events import Advanced
from qcade.training.launching import AsGraphs
from qcade.training.loop import open_environments, run
from qcade.training.on_policy_updates import OnPolicyUpdates
from qcade.training.state import Training
from qcade.types import Batch, Progress, QcadeError

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


def played(rows: int) -> Training:
    """A training that has played so many rows at random, and learned nothing."""
    training = Training(small())
    open_environments(training)
    randomness = np.random.default_rng(5)
    for _ in range(rows):
        training.updates.heard(None)
        actions = randomness.integers(3, size=ENVIRONMENTS)
        training.environments.send(actions)
        training.append(training.environments.recv(), actions, ())
    training.updates.heard(None)
    return training


def test_updates_are_due_after_every_rollout_and_at_no_other_time() -> None:
    training = Training(small())
    counts = [0, *(event.updates for event in run(training) if isinstance(event, Advanced))]
    training.close()
    per_rollout = EPOCHS * MINIBATCHES
    # The rollout's last decision is made in row T; learning overlaps with the row after it.
    changes = [row for row in range(1, len(counts)) if counts[row] != counts[row - 1]]
    assert changes == [DECISIONS + 1, 2 * DECISIONS + 1]
    assert counts[-1] == 2 * per_rollout


def test_every_epoch_learns_once_from_every_transition_and_from_no_opening() -> None:
    training = played(DECISIONS)
    updates = training.updates
    assert isinstance(updates, OnPolicyUpdates)
    parts = updates._shuffled()
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


def test_a_rollout_holds_what_was_played_and_what_the_network_says_of_it() -> None:
    training = played(DECISIONS)
    updates, ring = training.updates, training.ring
    assert isinstance(updates, OnPolicyUpdates)
    rollout = updates.rollout(0)
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
    """PQN that keeps the batches that it learns from."""

    batches: ClassVar[list[Batch]] = []

    def loss(self, online, target, batch, generator):  # type: ignore[no-untyped-def]
        Told.batches.append(batch)
        return super().loss(online, target, batch, generator)


def test_the_learner_is_given_goals_actions_and_observations_of_the_same_decisions() -> None:
    training = played(DECISIONS)
    Told.batches.clear()
    training.learner.algorithm = Told()
    updates = training.updates
    assert isinstance(updates, OnPolicyUpdates)
    goals = PQN().goals(updates.rollout(0))
    goals_of: dict[bytes, list[float]] = defaultdict(list)
    for row in range(DECISIONS):
        for environment in range(ENVIRONMENTS):
            where = torch.tensor([row]), torch.tensor([environment])
            if bool(training.ring.is_start(*where)):
                seen = bytes(training.ring.observations(*where).numpy().tobytes())
                action = int(training.ring.action_at(where[0] + 1, where[1]))
                goals_of[seen + bytes([action])].append(float(goals[row, environment]))
    for _ in range(MINIBATCHES):
        updates.update(Progress(0, 1))
    count = 0
    for batch in Told.batches:
        assert not batch.discount_t.any()
        for i in range(len(batch.a_tm1)):
            key = batch.s_tm1[i].numpy().tobytes() + bytes([int(batch.a_tm1[i])])
            goals_of[key].remove(float(batch.r_t[i]))
            count += 1
    assert not any(goals_of.values())
    assert count == ENVIRONMENTS * (DECISIONS - 1)


def test_there_is_no_target_network() -> None:
    training = Training(small())
    assert training.learner.target is training.learner.network
    assert isinstance(training.learner.target_rule, NoTarget)
    training.close()


def test_the_step_size_may_fall_along_the_run() -> None:
    training = Training(small(optimizer=RAdam(learning_rate=0.5, anneals=True)))
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


def test_goals_are_made_of_the_values_that_were_heard() -> None:
    training = played(DECISIONS)
    updates = training.updates
    assert isinstance(updates, OnPolicyUpdates)
    before = updates.rollout(0).q_values
    with torch.no_grad():
        for weight in training.learner.network.parameters():
            weight.add_(0.1)
    assert torch.equal(updates.rollout(0).q_values, before)
    heard = torch.arange(ENVIRONMENTS * 3.0).view(ENVIRONMENTS, 3)
    updates.heard(heard)
    assert torch.equal(updates.rollout(0).q_values, torch.stack([*before[1:], heard]))


def test_the_actor_tells_the_values_of_every_row_of_a_rollout() -> None:
    training = Training(small())
    updates = training.updates
    assert isinstance(updates, OnPolicyUpdates)
    for event in run(training):
        if isinstance(event, Advanced) and training.next_row == DECISIONS + 1:
            break
    rows = torch.arange(DECISIONS).repeat_interleave(ENVIRONMENTS)
    environments = torch.arange(ENVIRONMENTS).repeat(DECISIONS)
    values = training.learner.q_values(training.ring.observations(rows, environments))
    saved = updates.tensors()["values"]
    training.close()
    torch.testing.assert_close(saved.flatten(0, 1), values)


def test_values_of_a_half_played_rollout_are_saved() -> None:
    training, other = played(DECISIONS), Training(small())
    updates, restored = training.updates, other.updates
    assert isinstance(updates, OnPolicyUpdates)
    assert isinstance(restored, OnPolicyUpdates)
    restored.restore(updates.tensors())
    other.ring.append_rows(training.ring.read_rows(0, DECISIONS + 1))
    assert torch.equal(restored.rollout(0).q_values, updates.rollout(0).q_values)
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
    training = Training(recipe)
    for event in run(training):
        if isinstance(event, Advanced) and training.next_row == next_row:
            break
    return training


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_overlapping_updates_are_spread_over_the_rollout_that_follows(epochs: int) -> None:
    training = Training(overlapping(dataclasses.replace(OVERLAPPING, epochs=epochs)))
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
    Told.batches.clear()
    training = Training(overlapping(rollouts, algorithm=Told()))
    for _ in run(training):
        pass
    training.close()
    per_rollout = EPOCHS * MINIBATCHES
    return [
        Counter(
            batch.s_tm1[i].numpy().tobytes() + bytes([int(batch.a_tm1[i])])
            for batch in Told.batches[start : start + per_rollout]
            for i in range(len(batch.a_tm1))
        )
        for start in range(0, len(Told.batches), per_rollout)
    ]


def test_overlapping_rollouts_are_whole_although_the_ring_moves_on() -> None:
    at_once, spread = seen_in_training(ROLLOUTS), seen_in_training(OVERLAPPING)
    assert len(spread) == 3
    assert spread == at_once


@pytest.mark.parametrize("rows", [DECISIONS + 4, 2 * DECISIONS])
def test_a_rollout_half_learned_from_goes_on_after_a_restart(rows: int) -> None:
    recipe = overlapping()
    training = advanced(recipe, rows + 1)
    snapshot = training.snapshot()
    other = Training(recipe, snapshot)
    oldest = max(0, rows + 1 - recipe.ring_rows)
    other.ring.start_at(oldest, 0)
    other.ring.append_rows(training.ring.read_rows(oldest, rows + 1))
    for each in (training, other):
        each.updates.heard(torch.zeros(ENVIRONMENTS, 3))
        assert each.updates.due(each.decisions) > 0
        each.update_all_due()
    weights, others = (each.learner.network.state_dict() for each in (training, other))
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert not all(torch.equal(weights[name], snapshot.model[name]) for name in weights)
    training.close()
    other.close()


def test_what_is_left_of_a_rollout_is_forgotten_with_the_memory() -> None:
    training = advanced(overlapping(), DECISIONS + 5)
    other = Training(overlapping(), training.snapshot())
    open_environments(other)
    updates = other.updates
    assert isinstance(updates, OnPolicyUpdates)
    assert updates._minibatches
    made = [event.updates for event in run(other) if isinstance(event, Advanced)]
    before = training.learner.updates
    assert made[: DECISIONS + 1] == [before] * DECISIONS + [before + 1]
    training.close()
    other.close()


def test_longer_rollouts_than_a_parents_wait_until_all_of_one_was_heard() -> None:
    training = played(2 * DECISIONS)
    other = Training(small(rollouts=dataclasses.replace(ROLLOUTS, decisions=2 * DECISIONS)))
    other.ring.start_at(DECISIONS, 0)
    other.ring.append_rows(training.ring.read_rows(DECISIONS, 2 * DECISIONS + 1))
    other.updates.restore(training.updates.tensors())
    assert training.updates.due(0) == EPOCHS * MINIBATCHES
    assert other.updates.due(0) == 0
    training.close()
    other.close()


def test_minibatches_of_rollouts_that_were_cut_otherwise_are_not_taken_over() -> None:
    training = advanced(overlapping(), DECISIONS + 5)
    saved = training.updates.tensors()
    fewer = dataclasses.replace(OVERLAPPING, minibatches=3)
    for rollouts, taken_over in ((OVERLAPPING, True), (fewer, False), (ROLLOUTS, False)):
        other = Training(overlapping(rollouts))
        other.updates.restore(saved)
        assert isinstance(other.updates, OnPolicyUpdates)
        assert bool(other.updates._minibatches) is taken_over
        other.close()
    # On a GPU they have weights beside them, and one size.
    other = Training(overlapping())
    assert isinstance(other.updates, OnPolicyUpdates)
    other.updates.launcher = AsGraphs(other.hardware, lambda: Written([], []))
    other.updates.restore(saved)
    assert not other.updates._minibatches
    other.close()
    training.close()


def test_a_fork_with_other_environments_begins_its_rollouts_anew() -> None:
    training = advanced(overlapping(), DECISIONS + 5)
    wider = overlapping(environments=ENVIRONMENTS + 1)
    other = Training(wider, training.snapshot())
    before = training.learner.updates
    for event in run(other):
        if isinstance(event, Advanced):
            assert other.snapshot().learning["updates.values"].shape[1] == ENVIRONMENTS + 1
            if event.updates > before:
                break
    assert other.next_row == training.next_row + DECISIONS + 2
    training.close()
    other.close()
