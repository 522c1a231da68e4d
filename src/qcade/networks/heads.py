"""Heads: what the values of an action mean.

Whatever the precision of the layers below, expectations are worked out in float32, and without
matrix products, which autocast would take back to bfloat16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class ScalarValues(NamedTuple):
    """One expected return for each action."""

    q_values: Tensor
    """float32 [B, A]"""


class CategoricalValues(NamedTuple):
    """A distribution of returns over fixed atoms for each action."""

    q_values: Tensor
    """float32 [B, A]: expectations."""
    logits: Tensor
    """float32 [B, A, N]"""
    atoms: Tensor
    """float32 [N]: the returns that the probabilities belong to."""


class QuantileValues(NamedTuple):
    """Quantiles of the return at fixed fractions for each action."""

    q_values: Tensor
    """float32 [B, A]: means of the quantiles."""
    quantiles: Tensor
    """float32 [B, A, N]: at the fractions `midpoints(N)`."""


def midpoints(count: int, device: torch.device) -> Tensor:
    """Return the middles of N equal parts of [0, 1]: float32 [N]."""
    return (torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count


class ScalarHead(nn.Module):
    """Reads N = 1 value for each action as its expected return."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> ScalarValues:
        """Value the actions: float [B, features] -> q_values [B, A]."""
        values: Tensor = self.streams(features, generator)
        return ScalarValues(values.squeeze(2).float())


class SoftmaxHead(nn.Module):
    """The tutorial's misprint: a softmax over actions where returns were meant."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> ScalarValues:
        """Squash the values: float [B, features] -> q_values [B, A] that add up to 1."""
        values: Tensor = self.streams(features, generator)
        return ScalarValues(values.squeeze(2).float().softmax(1))


class CategoricalHead(nn.Module):
    """Reads N values for each action as logits over atoms (Bellemare et al. 2017)."""

    atoms: Tensor

    def __init__(self, streams: nn.Module, atoms: Tensor) -> None:
        """Take streams with N values and the atoms, float32 [N]."""
        super().__init__()
        self.streams = streams
        # They follow from the recipe: no weights, and none of a checkpoint's business.
        self.register_buffer("atoms", atoms, persistent=False)

    def forward(
        self, features: Tensor, generator: torch.Generator | None = None
    ) -> CategoricalValues:
        """Value the actions: float [B, features] -> q_values [B, A], logits [B, A, N]."""
        values: Tensor = self.streams(features, generator)
        logits = values.float()
        return CategoricalValues((logits.softmax(2) * self.atoms).sum(2), logits, self.atoms)


class QuantileHead(nn.Module):
    """Reads N values for each action as quantiles at `midpoints(N)` (Dabney et al. 2018a)."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> QuantileValues:
        """Value the actions: float [B, features] -> q_values [B, A], quantiles [B, A, N]."""
        values: Tensor = self.streams(features, generator)
        quantiles = values.float()
        return QuantileValues(quantiles.mean(2), quantiles)
