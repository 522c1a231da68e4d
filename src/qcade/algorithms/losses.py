"""Losses of scalar values as pure functions on tensors.

Names follow the transition: `q_tm1` are the values of the observation acted on, `q_t` those of the
next one. Nothing here averages over the batch or weights it: the learner does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def taken(values: Tensor, actions: Tensor) -> Tensor:
    """Select the value of each row's action: [B, A, ...] and int64 [B] -> [B, ...]."""
    index = actions.view(-1, *(1 for _ in values.shape[1:]))
    return values.gather(1, index.expand(-1, 1, *values.shape[2:])).squeeze(1)


def q_learning_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor) -> Tensor:
    """r + discount * max_a q(a): [B], [B], [B, A] -> [B] (Watkins 1989)."""
    return r_t + discount_t * q_t.amax(1)


def double_q_learning_target(
    r_t: Tensor, discount_t: Tensor, q_t_value: Tensor, q_t_selector: Tensor
) -> Tensor:
    """r + discount * q_value(argmax_a q_selector(a)) (van Hasselt et al. 2016)."""
    return r_t + discount_t * taken(q_t_value, q_t_selector.argmax(1))


def squared(error: Tensor) -> Tensor:
    """Half the square, whose derivative is the error."""
    return 0.5 * error.square()


def huber(error: Tensor) -> Tensor:
    """The Huber loss: quadratic within [-1, 1], linear with slope 1 outside."""
    size = error.abs()
    return torch.where(size <= 1.0, squared(error), size - 0.5)


def towards_zero(q_tm1: Tensor, actions: Tensor, error: Tensor) -> Tensor:
    """The tutorial's misprint: the values of all other actions are regressed to 0 too.

    Takes values [B, A], actions int64 [B] and the error [B] of the action taken; returns [B].
    """
    untaken = q_tm1.square().sum(1) - taken(q_tm1, actions).square()
    return squared(error) + 0.5 * untaken


def q_mean(q_tm1: Tensor) -> Tensor:
    """Average the greedy values of a batch, as a metric: [B, A] -> 0-d, detached."""
    return q_tm1.detach().amax(1).mean()


ERRORS: dict[str, Callable[[Tensor], Tensor]] = {"huber": huber, "squared": squared}
