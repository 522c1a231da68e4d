"""Returns of rollouts against numbers worked out by hand and a naive model of episodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qcade.algorithms.pqn import PQN
from qcade.algorithms.returns import peng_returns, watkins_returns
from qcade.types import DoubleArray, Rollout


def rollout_of(
    values: list[list[float]],
    rewards: list[float],
    discounts: list[float],
    transitions: list[bool] | None = None,
    actions: list[int] | None = None,
) -> Rollout:
    """One environment; `values` are those of T + 1 observations."""
    steps = len(rewards)
    return Rollout(
        torch.tensor(values)[:, None],
        torch.tensor(actions or [0] * steps)[:, None],
        torch.tensor(rewards)[:, None],
        torch.tensor(discounts)[:, None],
        torch.tensor(transitions or [True] * steps)[:, None],
    )


# Best values 9, 2, 4, 8 (the first is of no account); rewards 1, 2, 3.
VALUES = [[9.0, 0.0], [1.0, 2.0], [4.0, 3.0], [8.0, 0.0]]
REWARDS = [1.0, 2.0, 3.0]


def test_peng_returns_by_hand() -> None:
    rollout = rollout_of(VALUES, REWARDS, [0.5, 0.5, 0.5])
    # Last: 3 + 0.5 * 8 = 7. Before: 2 + 0.5 * (0.75 * 4 + 0.25 * 7) = 4.375.
    # First: 1 + 0.5 * (0.75 * 2 + 0.25 * 4.375) = 2.296875.
    assert peng_returns(rollout, 0.25)[:, 0].tolist() == [2.296875, 4.375, 7.0]


def test_without_traces_it_is_one_step_q_learning() -> None:
    rollout = rollout_of(VALUES, REWARDS, [0.5, 0.5, 0.5])
    expected = [1 + 0.5 * 2, 2 + 0.5 * 4, 3 + 0.5 * 8]
    for returns in (peng_returns, watkins_returns):
        assert returns(rollout, 0.0)[:, 0].tolist() == expected


def test_with_full_traces_it_is_the_sum_of_rewards_up_to_the_end_of_the_rollout() -> None:
    rollout = rollout_of(VALUES, REWARDS, [0.5, 0.5, 0.5])
    expected = [1 + 0.5 * 2 + 0.25 * 3 + 0.125 * 8, 2 + 0.5 * 3 + 0.25 * 8, 3 + 0.5 * 8]
    assert peng_returns(rollout, 1.0)[:, 0].tolist() == expected


def test_nothing_follows_a_termination() -> None:
    # Decision 1 ended the game; decision 2 was ignored; decision 3 belongs to the next episode.
    values = [*VALUES, [16.0, 0.0]]
    rollout = rollout_of(
        values, [1.0, 2.0, 0.0, 3.0], [0.5, 0.0, 0.5, 0.5], [True, True, False, True]
    )
    returns = peng_returns(rollout, 0.5)[:, 0].tolist()
    assert returns[1] == 2.0
    assert returns[0] == 1 + 0.5 * (0.5 * 2 + 0.5 * 2.0)
    assert returns[3] == 3 + 0.5 * 16


def test_the_last_observation_is_valued_at_a_truncation_and_no_trace_leads_on() -> None:
    # As before, but time was up: the value 4 of the observation after decision 1 counts, in full.
    values = [*VALUES, [16.0, 0.0]]
    rollout = rollout_of(
        values, [1.0, 2.0, 0.0, 3.0], [0.5, 0.5, 0.5, 0.5], [True, True, False, True]
    )
    returns = peng_returns(rollout, 1.0)[:, 0].tolist()
    assert returns[1] == 2 + 0.5 * 4
    assert returns[0] == 1 + 0.5 * (2 + 0.5 * 4)


def test_the_life_after_a_lost_one_does_not_reach_back() -> None:
    # A discount of 0 in the middle of a game: the next decision is a transition like any other.
    rollout = rollout_of(VALUES, REWARDS, [0.0, 0.5, 0.5])
    assert peng_returns(rollout, 1.0)[:, 0].tolist() == [1.0, 2 + 0.5 * (3 + 0.5 * 8), 7.0]


def test_watkins_stops_before_an_action_that_was_not_greedy_and_peng_does_not() -> None:
    # Best at observation 1 is action 1, at observation 2 action 0.
    greedy = rollout_of(VALUES, REWARDS, [0.5, 0.5, 0.5], actions=[1, 1, 0])
    expected = peng_returns(greedy, 0.25)
    assert torch.equal(watkins_returns(greedy, 0.25), expected)
    strays = rollout_of(VALUES, REWARDS, [0.5, 0.5, 0.5], actions=[1, 1, 1])
    # Decision 2 strayed: 2 + 0.5 * 4 = 4; decision 1 did not: 1 + 0.5 * (0.75 * 2 + 0.25 * 4).
    assert watkins_returns(strays, 0.25)[:, 0].tolist() == [2.25, 4.0, 7.0]
    assert torch.equal(peng_returns(strays, 0.25), expected)


def test_each_of_several_best_actions_is_greedy() -> None:
    values = [[0.0, 0.0], [3.0, 3.0], [1.0, 0.0]]
    for action in (0, 1):
        rollout = rollout_of(values, [1.0, 1.0], [1.0, 1.0], actions=[0, action])
        assert watkins_returns(rollout, 1.0)[:, 0].tolist() == [3.0, 2.0]


def test_a_rollout_of_one_decision_is_one_step_q_learning() -> None:
    rollout = rollout_of([[1.0, 2.0], [3.0, 5.0]], [1.0], [0.5])
    assert peng_returns(rollout, 0.9).tolist() == watkins_returns(rollout, 0.9).tolist() == [[3.5]]


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """Several environments whose episodes end and are cut off at random."""
    steps, environments, actions = (draw(st.integers(1, n)) for n in (9, 3, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shape = (steps, environments)
    # Few different values, so that several actions are best now and then.
    values = torch.randint(5, (steps + 1, environments, actions), generator=generator).float()
    ends = torch.rand(shape, generator=generator)
    return Rollout(
        values,
        torch.randint(actions, shape, generator=generator),
        torch.randn(shape, generator=generator),
        torch.where(ends < 0.2, 0.0, 0.9),
        torch.rand(shape, generator=generator) > 0.25,
    )


def naive_return(
    rollout: Rollout, start: int, environment: int, trace_decay: float, only_greedy: bool
) -> float:
    """Mix of the n-step returns of one decision, each written out as a sum, weighed by traces."""
    values = rollout.q_values[:, environment].double().numpy()
    n_step_returns, ends_at = [], []
    total, discount = 0.0, 1.0
    for t in range(start, len(rollout.r_t)):
        total += discount * float(rollout.r_t[t, environment])
        discount *= float(rollout.discount_t[t, environment])
        n_step_returns.append(total + discount * values[t + 1].max())
        follows = t + 1 < len(rollout.r_t) and bool(rollout.is_transition[t + 1, environment])
        if follows and only_greedy:
            action = int(rollout.a_tm1[t + 1, environment])
            follows = values[t + 1][action] == values[t + 1].max()
        ends_at.append(not follows)
        if not follows:
            break
    last = len(n_step_returns) - 1
    weights = [(1 - trace_decay) * trace_decay**n for n in range(last)] + [trace_decay**last]
    return float(np.dot(weights, n_step_returns))


@settings(max_examples=60, deadline=None)
@given(rollouts(), st.sampled_from([0.0, 0.3, 0.65, 1.0]))
def test_returns_are_the_naive_mix_of_n_step_returns(rollout: Rollout, trace_decay: float) -> None:
    for returns, only_greedy in ((peng_returns, False), (watkins_returns, True)):
        goals = returns(rollout, trace_decay)
        expected: DoubleArray = np.array(
            [
                [
                    naive_return(rollout, t, e, trace_decay, only_greedy)
                    for e in range(goals.shape[1])
                ]
                for t in range(len(goals))
            ]
        )
        # Decisions that were ignored have no return; whatever stands there is finite.
        played = rollout.is_transition.numpy()
        np.testing.assert_allclose(goals.numpy()[played], expected[played], rtol=1e-4, atol=1e-5)
        assert bool(goals.isfinite().all())


@pytest.mark.parametrize(("returns", "expected"), [("peng", 4.375), ("watkins", 4.0)])
def test_pqn_uses_the_returns_and_the_decay_that_the_recipe_names(
    returns: str, expected: float
) -> None:
    rollout = rollout_of(VALUES, REWARDS, [0.5, 0.5, 0.5], actions=[1, 1, 1])
    rollout.q_values.requires_grad_()
    goals = PQN(trace_decay=0.25, returns=returns).compute_returns(rollout)  # type: ignore[arg-type]
    assert goals.shape == (3, 1)
    assert float(goals[1]) == expected
    assert not goals.requires_grad
