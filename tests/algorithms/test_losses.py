"""Loss functions against tables worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from qcade.algorithms.losses import (
    ERRORS,
    double_q_learning_target,
    huber,
    q_learning_target,
    squared,
    taken,
    towards_zero,
)

Q = torch.tensor([[1.0, 5.0, -2.0], [-3.0, -1.0, -7.0], [0.0, 0.0, 4.0]])
R = torch.tensor([1.0, -1.0, 0.5])
DISCOUNT = torch.tensor([0.9, 0.5, 0.0])


def slopes(loss: Tensor, error: Tensor) -> list[float]:
    (gradient,) = torch.autograd.grad(loss.sum(), error)
    values: list[float] = gradient.tolist()
    return values


def test_taken_picks_each_rows_own_action() -> None:
    assert taken(Q, torch.tensor([2, 0, 1])).tolist() == [-2.0, -3.0, 0.0]


def test_taken_picks_whole_distributions_too() -> None:
    values = torch.arange(12.0).view(2, 3, 2)
    assert taken(values, torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_q_learning_target_adds_the_discounted_best_value() -> None:
    goal = q_learning_target(R, DISCOUNT, Q)
    torch.testing.assert_close(goal, torch.tensor([1 + 0.9 * 5, -1 - 0.5 * 1, 0.5]))


def test_double_target_values_the_selectors_choice_with_the_other_network() -> None:
    selector = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [0.0, 9.0, 0.0]])
    goal = double_q_learning_target(R, DISCOUNT, Q, selector)
    torch.testing.assert_close(goal, torch.tensor([1 + 0.9 * -2, -1 + 0.5 * -3, 0.5]))


def test_double_equals_single_where_the_networks_are_equal() -> None:
    values = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    r_t, discount_t = values[:, 0], values[:, 1].sigmoid()
    single = q_learning_target(r_t, discount_t, values)
    assert torch.equal(double_q_learning_target(r_t, discount_t, values, values), single)


def test_squared_is_half_the_square_with_the_error_as_slope() -> None:
    error = torch.tensor([-3.0, 0.5, 2.0], requires_grad=True)
    assert squared(error).tolist() == [4.5, 0.125, 2.0]
    assert slopes(squared(error), error) == [-3.0, 0.5, 2.0]


@pytest.mark.parametrize(
    ("error", "value", "slope"),
    [(0.0, 0.0, 0.0), (0.5, 0.125, 0.5), (1.0, 0.5, 1.0), (3.0, 2.5, 1.0), (100.0, 99.5, 1.0)],
)
def test_huber_by_hand_on_both_sides(error: float, value: float, slope: float) -> None:
    both = torch.tensor([error, -error], requires_grad=True)
    assert huber(both).tolist() == [value, value]
    assert slopes(huber(both), both) == [slope, -slope]


def test_recipes_find_both_errors_by_name() -> None:
    error = torch.tensor([3.0])
    assert {name: float(make(error)) for name, make in ERRORS.items()} == {
        "huber": 2.5,
        "squared": 4.5,
    }


def test_towards_zero_adds_half_the_squares_of_the_actions_not_taken() -> None:
    actions = torch.tensor([1, 2, 0])
    error = torch.tensor([2.0, 0.0, -1.0])
    # Row 0: 2 + (1 + 4) / 2; row 1: 0 + (9 + 1) / 2; row 2: 1/2 + (0 + 16) / 2.
    assert towards_zero(Q, actions, error).tolist() == [4.5, 5.0, 8.5]


def test_towards_zero_leaves_the_action_taken_to_its_error() -> None:
    values = Q.clone().requires_grad_()
    actions = torch.tensor([1, 2, 0])
    # With the error held fixed, only the other actions feel a pull, of their own size.
    loss = towards_zero(values, actions, torch.zeros(3))
    (gradient,) = torch.autograd.grad(loss.sum(), values)
    assert gradient.tolist() == [[1.0, 0.0, -2.0], [-3.0, -1.0, 0.0], [0.0, 0.0, 4.0]]
