"""Schedules of epsilon by hand."""

from __future__ import annotations

import math

import pytest

from qcade.agent.exploration import ExponentialEpsilon, LinearEpsilon


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [(0, 1.0), (25_000, 0.901), (125_000, 0.505), (250_000, 0.01), (10**9, 0.01)],
)
def test_linear_epsilon_by_hand(decisions: int, expected: float) -> None:
    schedule = LinearEpsilon(start=1.0, end=0.01, decay_decisions=250_000)
    assert schedule.epsilon(decisions) == pytest.approx(expected)


def test_linear_epsilon_may_start_and_end_anywhere() -> None:
    schedule = LinearEpsilon(start=0.2, end=0.6, decay_decisions=4)
    assert [schedule.epsilon(i) for i in range(6)] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6, 0.6])


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
    assert ExponentialEpsilon().epsilon(decisions) == pytest.approx(expected, abs=1e-5)


def test_exponential_epsilon_keeps_to_its_own_figures() -> None:
    schedule = ExponentialEpsilon(start=0.8, end=0.2, rate_per_decision=0.1)
    assert schedule.epsilon(0) == pytest.approx(0.8)
    assert schedule.epsilon(10) == pytest.approx(0.2 + 0.6 / math.e)
    assert schedule.epsilon(10_000) == pytest.approx(0.2)
