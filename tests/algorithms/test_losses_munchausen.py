"""Munchausen bonuses and soft values against tables worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from qcade.algorithms.losses_munchausen import (
    munchausen_bonus,
    scaled_log_policy,
    soft_value,
    soft_values,
)

# At temperature 0.5 these are powers of 4, 1, 1: a policy of 2/3, 1/6, 1/6.
Q = torch.tensor([[math.log(2.0), 0.0, 0.0]])


def test_log_policy_comes_times_the_temperature() -> None:
    (scaled,) = scaled_log_policy(Q, 0.5).tolist()
    assert scaled == pytest.approx([0.5 * math.log(p) for p in (2 / 3, 1 / 6, 1 / 6)])


def test_log_policy_is_right_far_from_zero_and_at_published_temperatures() -> None:
    values = torch.tensor([[1000.0, 999.0, 999.99]])
    (scaled,) = scaled_log_policy(values, 0.03).tolist()
    others = 0.03 * math.log(1 + math.exp(-0.01 / 0.03))
    assert scaled == pytest.approx([-others, -1 - others, -0.01 - others], abs=1e-3)


def test_bonus_is_clipped_after_the_temperature_is_in_and_scaled_after_that() -> None:
    rows, actions = Q.expand(2, -1), torch.tensor([0, 1])
    # 0.5 log(2/3) = -0.2027; 0.5 log(1/6) = -0.8959, while log(1/6) itself is below -1.
    bonus = munchausen_bonus(rows, actions, 0.5, 0.9, -1.0)
    assert bonus.tolist() == pytest.approx([-0.9 * 0.2027, -0.9 * 0.8959], abs=1e-4)
    clipped = munchausen_bonus(rows, actions, 0.5, 0.9, -0.5)
    assert clipped.tolist() == pytest.approx([-0.9 * 0.2027, -0.9 * 0.5], abs=1e-4)


def test_bonus_is_never_positive() -> None:
    sure = torch.tensor([[100.0, 0.0]])
    bonus = munchausen_bonus(sure, torch.tensor([0]), 0.03, 0.9, -1.0)
    assert bonus.tolist() == [0.0]


def test_soft_value_by_hand_is_the_scaled_log_of_the_sum_of_powers() -> None:
    # 0.5 log(4 + 1 + 1), which is also the mean value plus half the entropy of 2/3, 1/6, 1/6.
    entropy = -(2 / 3 * math.log(2 / 3) + 2 / 6 * math.log(1 / 6))
    assert 0.5 * math.log(6) == pytest.approx(2 / 3 * math.log(2.0) + 0.5 * entropy)
    assert soft_value(Q, 0.5).tolist() == pytest.approx([0.5 * math.log(6)])


def test_soft_value_is_the_scaled_log_of_the_sum_of_powers_for_any_values() -> None:
    values = 3 * torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    for temperature in (0.03, 0.5, 4.0):
        expected = temperature * torch.logsumexp(values / temperature, 1)
        torch.testing.assert_close(soft_value(values, temperature), expected)


def test_soft_value_tends_to_the_best_value_with_the_temperature() -> None:
    values = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(soft_value(values, 1e-6), values.amax(1))


def test_soft_values_of_quantiles_by_hand_with_a_policy_of_other_values() -> None:
    values = torch.tensor([[[6.0, 12.0], [0.0, 6.0], [0.0, 0.0]]])
    entropy = -(2 / 3 * math.log(2 / 3) + 2 / 6 * math.log(1 / 6))
    expected = [4.0 + 0.5 * entropy, 9.0 + 0.5 * entropy]
    (soft,) = soft_values(values, Q, 0.5).tolist()
    assert soft == pytest.approx(expected)


def test_soft_values_of_quantiles_average_to_the_soft_value_of_their_means() -> None:
    values = torch.randn(8, 3, 5, generator=torch.Generator().manual_seed(1))
    means = values.mean(2)
    soft = soft_values(values, means, 0.3)
    assert soft.shape == (8, 5)
    torch.testing.assert_close(soft.mean(1), soft_value(means, 0.3))
