"""Quantile losses against tables, and against what quantiles are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qcade.algorithms.losses import huber
from qcade.algorithms.losses_quantile import absolute_errors, quantile_huber, quantile_td_targets


def test_goals_shift_and_shrink_every_quantile() -> None:
    goals = quantile_td_targets(
        torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0]), torch.tensor([[2.0, 4.0], [1.0, 3.0]])
    )
    assert goals.tolist() == [[2.0, 3.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("goal", "kappa", "expected"),
    [
        # From 0, at tau = 0.75: too low counts three times as much as too high.
        (0.5, 1.0, 0.75 * 0.125),
        (-0.5, 1.0, 0.25 * 0.125),
        (3.0, 1.0, 0.75 * 2.5),
        (-3.0, 1.0, 0.25 * 2.5),
        # Halves of squares up to 2, then slope 2; all of it over 2.
        (1.0, 2.0, 0.75 * 0.5 / 2),
        (-5.0, 2.0, 0.25 * (2 * (5 - 1)) / 2),
        # Next to no rounding: the slope is tau.
        (3.0, 1e-6, 0.75 * 3.0),
        (0.0, 1.0, 0.0),
    ],
)
def test_loss_of_one_pair_by_hand(goal: float, kappa: float, expected: float) -> None:
    loss = quantile_huber(torch.zeros(1, 1), torch.tensor([0.75]), torch.tensor([[goal]]), kappa)
    assert loss.tolist() == pytest.approx([expected], rel=1e-5)


def test_losses_add_up_over_quantiles_and_average_over_goals() -> None:
    quantiles, taus = torch.tensor([[0.0, 1.0]]), torch.tensor([0.25, 0.75])
    goals = torch.tensor([[3.0, 0.0, 1.5]])
    # tau = 0.25 at 0: 0.25 * 2.5, 0, 0.25 * 1; tau = 0.75 at 1: 0.75 * 1.5, 0.25 * 0.5,
    # 0.75 * 0.125.
    expected = (0.625 + 0.25) / 3 + (1.125 + 0.125 + 0.09375) / 3
    assert quantile_huber(quantiles, taus, goals, 1.0).tolist() == pytest.approx([expected])
    # Absolute errors 3, 0, 1.5 and 2, 1, 0.5.
    assert absolute_errors(quantiles, goals).tolist() == pytest.approx([4.5 / 3 + 3.5 / 3])


def test_each_row_has_its_own_fractions() -> None:
    quantiles, goals = torch.zeros(2, 1), torch.full((2, 1), 3.0)
    loss = quantile_huber(quantiles, torch.tensor([[0.1], [0.9]]), goals, 1.0)
    assert loss.tolist() == pytest.approx([0.1 * 2.5, 0.9 * 2.5])


def test_all_pairs_against_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    quantiles = torch.randn(3, 4, generator=generator)
    goals, taus = torch.randn(3, 5, generator=generator), torch.rand(3, 4, generator=generator)
    for kappa in (0.3, 1.0):
        expected = np.zeros(3)
        for b in range(3):
            for i in range(4):
                for j in range(5):
                    u = float(goals[b, j] - quantiles[b, i])
                    rounded = 0.5 * u * u if abs(u) <= kappa else kappa * (abs(u) - 0.5 * kappa)
                    side = float(taus[b, i]) if u >= 0 else 1.0 - float(taus[b, i])
                    expected[b] += side * rounded / kappa / 5
        loss = quantile_huber(quantiles, taus, goals, kappa)
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-5)


def test_one_quantile_in_the_middle_is_half_of_scalar_regression() -> None:
    generator = torch.Generator().manual_seed(1)
    quantile, goal = (2 * torch.randn(9, 1, generator=generator) for _ in range(2))
    loss = quantile_huber(quantile, torch.tensor([0.5]), goal, 1.0)
    torch.testing.assert_close(loss, 0.5 * huber(goal - quantile).squeeze(1))


@pytest.mark.parametrize(("tau", "quantile"), [(0.05, 0.0), (0.55, 5.0), (0.95, 9.0)])
def test_the_least_loss_is_at_the_quantile(tau: float, quantile: float) -> None:
    # Of the goals 0 to 9, a fraction tau lies below the quantile.
    goals = torch.arange(10.0)[None].expand(91, -1)
    candidates = torch.linspace(0, 9, 91)[:, None]
    losses = quantile_huber(candidates, torch.tensor([tau]), goals, 1e-3)
    assert float(candidates[losses.argmin()]) == pytest.approx(quantile)


def test_absolute_errors_carry_no_gradient() -> None:
    quantiles = torch.zeros(1, 2, requires_grad=True)
    assert not absolute_errors(quantiles, torch.ones(1, 3)).requires_grad
