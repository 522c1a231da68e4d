"""Munchausen reinforcement learning (Vieillard et al. 2020), as pure functions on tensors.

The policy is a softmax of values over the temperature; logarithms of it come multiplied by the
temperature, in the units of the return.
"""

from __future__ import annotations

from torch import Tensor

from qcade.algorithms.losses import taken


def scaled_log_policy(q_values: Tensor, temperature: float) -> Tensor:
    """temperature * log policy: [B, A] -> [B, A], not positive."""
    return temperature * (q_values / temperature).log_softmax(1)


def munchausen_bonus(
    q_tm1: Tensor, a_tm1: Tensor, temperature: float, alpha: float, lowest: float
) -> Tensor:
    """alpha * clip(temperature * log policy(a), lowest, 0): [B, A], int64 [B] -> [B]."""
    return alpha * taken(scaled_log_policy(q_tm1, temperature), a_tm1).clamp(lowest, 0.0)


def soft_values(values: Tensor, q_values: Tensor, temperature: float) -> Tensor:
    """sum_a policy(a) * (value(a) - temperature * log policy(a)).

    Values [B, A, N] and the q_values [B, A] that make the policy -> [B, N].
    """
    scaled = scaled_log_policy(q_values, temperature)
    policy = (scaled / temperature).exp()
    return (policy[:, :, None] * (values - scaled[:, :, None])).sum(1)


def soft_value(q_values: Tensor, temperature: float) -> Tensor:
    """Value a state under the policy that its values make, entropy included: [B, A] -> [B]."""
    return soft_values(q_values[:, :, None], q_values, temperature).squeeze(1)
