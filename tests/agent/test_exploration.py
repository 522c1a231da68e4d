"""Schedules of epsilon by hand."""

from __future__ import annotations

import math

import pytest

from qcade.agent.exploration import (
    EpsilonLadder,
    ExponentialEpsilon,
    LinearEpsilon,
    LinearEpsilonOfRun,
    NoRandomActions,
)
from qcade.parts import Exploration
from qcade.types import Progress


def epsilon(schedule: Exploration, decisions: int, total_decisions: int = 10**6) -> float:
    """That of every environment, which must be the same."""
    each = schedule.epsilons(Progress(decisions, total_decisions), 3)
    assert each.shape == (3,)
    assert each.min() == each.max()
    return float(each[0])


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [(0, 1.0), (25_000, 0.901), (125_000, 0.505), (250_000, 0.01), (10**9, 0.01)],
)
def test_linear_epsilon_by_hand(decisions: int, expected: float) -> None:
    schedule = LinearEpsilon(start=1.0, end=0.01, decay_decisions=250_000)
    assert epsilon(schedule, decisions) == pytest.approx(expected)


def test_linear_epsilon_may_start_and_end_anywhere() -> None:
    schedule = LinearEpsilon(start=0.2, end=0.6, decay_decisions=4)
    assert [epsilon(schedule, i) for i in range(6)] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6, 0.6])


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        (0, 1.0),
        # ln 2 / 3e-5: half of the way from 1 to 0.01.
        (23_105, 0.505),
        (46_210, 0.01 + 0.99 / 4),
        (100_000, 0.01 + 0.99 * math.exp(-3)),
        (10_000_000, 0.01),
    ],
)
def test_the_tutorials_curve_by_hand(decisions: int, expected: float) -> None:
    assert epsilon(ExponentialEpsilon(), decisions) == pytest.approx(expected, abs=1e-5)


def test_exponential_epsilon_keeps_to_its_own_figures() -> None:
    schedule = ExponentialEpsilon(start=0.8, end=0.2, rate_per_decision=0.1)
    assert epsilon(schedule, 0) == pytest.approx(0.8)
    assert epsilon(schedule, 10) == pytest.approx(0.2 + 0.6 / math.e)
    assert epsilon(schedule, 10_000) == pytest.approx(0.2)


def test_a_line_may_begin_later() -> None:
    schedule = LinearEpsilon(start=1.0, end=0.0, decay_decisions=10, start_decisions=100)
    assert [epsilon(schedule, d) for d in (0, 100, 105, 110, 999)] == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_a_line_over_part_of_the_run_is_as_long_as_the_run_is() -> None:
    schedule = LinearEpsilonOfRun(start=1.0, end=0.2, decay_fraction=0.25)
    assert [epsilon(schedule, d, 800) for d in (0, 100, 200, 799)] == pytest.approx(
        [1.0, 0.6, 0.2, 0.2]
    )
    assert epsilon(schedule, 100, 8_000) == pytest.approx(1 - 0.8 * 0.05)


def test_the_ladder_is_that_of_ape_x_at_every_time() -> None:
    for decisions in (0, 10**9):
        rungs = EpsilonLadder(base=0.4, exponent=7.0).epsilons(Progress(decisions, 10**9), 8)
        assert rungs.tolist() == pytest.approx([0.4 ** (1 + i) for i in range(8)])
    assert EpsilonLadder().epsilons(Progress(0, 1), 1).tolist() == pytest.approx([0.4])


def test_networks_that_explore_by_noise_need_no_random_actions() -> None:
    assert epsilon(NoRandomActions(), 0) == 0.0
