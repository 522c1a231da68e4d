"""Munchausen reinforcement learning (Vieillard et al. 2020), as pure functions on tensors.

The policy is softmax(q / temperature). Its logarithm is always scaled by the temperature, which
gives it the unit of the return.
"""

from __future__ import annotations

from torch import Tensor

from qcade.algorithms.losses import taken


def scaled_log_policy(q_values: Tensor, temperature: float) -> Tensor:
    """temperature * log policy: q_values [B, A] -> [B, A], not positive."""
    return temperature * (q_values / temperature).log_softmax(1)


def munchausen_bonus(
    q_tm1: Tensor, a_tm1: Tensor, temperature: float, alpha: float, lowest: float
) -> Tensor:
    """alpha * clip(temperature * log policy(a), lowest, 0): [B, A], int64 [B] -> [B]."""
    return alpha * taken(scaled_log_policy(q_tm1, temperature), a_tm1).clamp(lowest, 0.0)


def soft_values(values: Tensor, q_values: Tensor, temperature: float) -> Tensor:
    """sum_a policy(a) * (value(a) - temperature * log policy(a)).

    Takes values [B, A, N] and the policy's q_values [B, A]; returns [B, N].
    """
    scaled = scaled_log_policy(q_values, temperature)
    policy = (scaled / temperature).exp()
    return (policy[:, :, None] * (values - scaled[:, :, None])).sum(1)


def soft_value(q_values: Tensor, temperature: float) -> Tensor:
    """State value under the softmax policy, with its entropy: q_values [B, A] -> [B]."""
    return soft_values(q_values[:, :, None], q_values, temperature).squeeze(1)
