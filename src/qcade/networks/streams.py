"""Streams: the layers between features and N values for each action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from qcade.networks.layers import before_relu, output
from qcade.types import Positive, Streams

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU}


def _two_layers(features: int, hidden: int, outputs: int, activation: str) -> nn.Sequential:
    return nn.Sequential(
        before_relu(nn.Linear(features, hidden)),
        ACTIVATIONS[activation](),
        output(nn.Linear(hidden, outputs)),
    )


@dataclass(frozen=True)
class Plain(Streams):
    """One hidden layer, then all values."""

    hidden: Positive = 512
    """Width of the hidden layer."""
    activation: Literal["relu", "elu"] = "relu"
    """After the hidden layer."""

    def build(self, features: int, actions: int, values: int) -> nn.Module:
        """Make a module from float [B, features] to float [B, A, N]."""
        return nn.Sequential(
            _two_layers(features, self.hidden, actions * values, self.activation),
            nn.Unflatten(1, (actions, values)),
        )


@dataclass(frozen=True)
class Dueling(Streams):
    """State value plus centred advantages, a hidden layer each (Wang et al. 2016)."""

    hidden: Positive = 512
    """Width of each stream's hidden layer."""
    activation: Literal["relu", "elu"] = "relu"
    """After the hidden layers."""

    def build(self, features: int, actions: int, values: int) -> nn.Module:
        """Make a module from float [B, features] to float [B, A, N]."""
        return DuelingModule(
            value=_two_layers(features, self.hidden, values, self.activation),
            advantage=nn.Sequential(
                _two_layers(features, self.hidden, actions * values, self.activation),
                nn.Unflatten(1, (actions, values)),
            ),
        )


class DuelingModule(nn.Module):
    """value + advantage - mean of advantage over actions."""

    def __init__(self, value: nn.Module, advantage: nn.Module) -> None:
        super().__init__()
        self.value, self.advantage = value, advantage

    def forward(self, features: Tensor) -> Tensor:
        """Combine: float [B, features] -> float [B, A, N]."""
        value: Tensor = self.value(features)
        advantage: Tensor = self.advantage(features)
        return value[:, None] + advantage - advantage.mean(1, keepdim=True)
