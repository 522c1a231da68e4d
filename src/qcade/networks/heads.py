"""Heads: what the values of an action mean."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class ScalarValues(NamedTuple):
    """One expected return for each action."""

    q_values: Tensor
    """float32 [B, A]"""


class ScalarHead(nn.Module):
    """Reads N = 1 value for each action as its expected return."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor) -> ScalarValues:
        """Value the actions: float [B, features] -> q_values [B, A]."""
        values: Tensor = self.streams(features)
        return ScalarValues(values.squeeze(2).float())


class SoftmaxHead(nn.Module):
    """The tutorial's misprint: a softmax over actions where returns were meant."""

    def __init__(self, streams: nn.Module) -> None:
        super().__init__()
        self.streams = streams

    def forward(self, features: Tensor) -> ScalarValues:
        """Squash the values: float [B, features] -> q_values [B, A] that add up to 1."""
        values: Tensor = self.streams(features)
        return ScalarValues(values.squeeze(2).float().softmax(1))
