"""Heads: how the outputs for an action are interpreted as Q-values.

Expectations are always computed in float32, and without matrix products, which autocast would
compute in bfloat16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class ScalarValues(NamedTuple):
    """One expected return per action."""

    q_values: Tensor
    """float32 [B, A]"""


class CategoricalValues(NamedTuple):
    """A distribution of returns over fixed atoms per action."""

    q_values: Tensor
    """float32 [B, A]: expectations."""
    logits: Tensor
    """float32 [B, A, N]"""
    atoms: Tensor
    """float32 [N]: the returns to which the probabilities belong."""


class QuantileValues(NamedTuple):
    """Quantiles of the return at fixed fractions per action."""

    q_values: Tensor
    """float32 [B, A]: means of the quantiles."""
    quantiles: Tensor
    """float32 [B, A, N]: at the fractions `midpoints(N)`."""


def midpoints(count: int, device: torch.device) -> Tensor:
    """Return the midpoints of N equal parts of [0, 1]: float32 [N]."""
    return (torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count


class ScalarHead(nn.Module):
    """Interprets N = 1 value per action as its expected return."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> ScalarValues:
        """Compute q_values [B, A] from features, float [B, features]."""
        values: Tensor = self.streams(features, generator)
        return ScalarValues(values.squeeze(2).float())


class SoftmaxHead(nn.Module):
    """The tutorial's misprint: a softmax over actions instead of returns."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> ScalarValues:
        """Compute q_values [B, A], which sum to 1, from features, float [B, features]."""
        values: Tensor = self.streams(features, generator)
        return ScalarValues(values.squeeze(2).float().softmax(1))


class CategoricalHead(nn.Module):
    """Interprets N values per action as logits over atoms (Bellemare et al. 2017)."""

    atoms: Tensor

    def __init__(self, streams: nn.Module, atoms: Tensor) -> None:
        """`streams` return N values per action; `atoms` are float32 [N]."""
        super().__init__()
        self.streams = streams
        # Determined by the recipe: not weights, and not saved in checkpoints.
        self.register_buffer("atoms", atoms, persistent=False)

    def forward(
        self, features: Tensor, generator: torch.Generator | None = None
    ) -> CategoricalValues:
        """Compute q_values [B, A] and logits [B, A, N] from features, float [B, features]."""
        values: Tensor = self.streams(features, generator)
        logits = values.float()
        return CategoricalValues((logits.softmax(2) * self.atoms).sum(2), logits, self.atoms)


class QuantileHead(nn.Module):
    """Interprets N values per action as quantiles at `midpoints(N)` (Dabney et al. 2018a)."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> QuantileValues:
        """Compute q_values [B, A] and quantiles [B, A, N] from features, float [B, features]."""
        values: Tensor = self.streams(features, generator)
        quantiles = values.float()
        return QuantileValues(quantiles.mean(2), quantiles)
