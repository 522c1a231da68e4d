"""Streams: the layers between features and N values per action.

Their modules are called with features and a generator for noisy layers. For losses that need the
hidden layers' outputs, they also have two methods that return float [B, hidden_units]: `hidden`,
after the activation, and `projection`, the linear map alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from qcade.networks.layers import before_relu, output
from qcade.networks.noisy import Linear, NoisyLinear
from qcade.networks.normalization import FLAX_EPSILON
from qcade.parts import Streams
from qcade.types import PositiveFloat, Units

Generator: TypeAlias = torch.Generator | None


@runtime_checkable
class HasProjection(Protocol):
    """Streams whose hidden layers can be applied without their activation."""

    def projection(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Map features by the hidden layers' weights alone: float [B, hidden_units]."""
        ...


@dataclass(frozen=True)
class Plain(Streams):
    """One hidden layer, then one output layer for all values."""

    hidden: Units = 512
    """Width of the hidden layer."""
    activation: Literal["relu", "elu", "gelu"] = "relu"
    """Activation of the hidden layer; gelu is the tanh approximation, as in Flax."""
    normalization: Literal["none", "layer"] = "none"
    """Normalization before the activation: layer as in PQN, or none."""
    noisy_sigma: PositiveFloat | None = None
    """Initial noise scale sigma_0 of noisy layers (0.5 in Rainbow); None for no noise."""

    def build(self, features: int, actions: int, values: int) -> Stream:
        """Build the module: (float [B, features], generator) -> float [B, A, N]."""
        return Stream(HiddenLayer(self, features), ActionValues(self, actions, values))


@dataclass(frozen=True)
class Dueling(Streams):
    """State value plus centred advantages, with separate hidden layers (Wang et al. 2016)."""

    hidden: Units = 512
    """Width of each stream's hidden layer."""
    activation: Literal["relu", "elu", "gelu"] = "relu"
    """Activation of the hidden layers; gelu is the tanh approximation, as in Flax."""
    normalization: Literal["none", "layer"] = "none"
    """Normalization before the activations: layer as in PQN, or none."""
    noisy_sigma: PositiveFloat | None = None
    """Initial noise scale sigma_0 of noisy layers (0.5 in Rainbow); None for no noise."""

    def build(self, features: int, actions: int, values: int) -> DuelingStreams:
        """Build the module: (float [B, features], generator) -> float [B, A, N]."""
        return DuelingStreams(
            value=Stream(HiddenLayer(self, features), ActionValues(self, 1, values)),
            advantage=Stream(HiddenLayer(self, features), ActionValues(self, actions, values)),
        )


@dataclass(frozen=True)
class SharedDueling(Streams):
    """State value plus centred advantages, with one shared hidden layer, as in BBF."""

    hidden: Units = 512
    """Width of the hidden layer; 2,048 in BBF."""
    activation: Literal["relu", "elu", "gelu"] = "relu"
    """Activation of the hidden layer; gelu is the tanh approximation, as in Flax."""
    normalization: Literal["none", "layer"] = "none"
    """Normalization before the activation: layer as in PQN, or none."""
    noisy_sigma: PositiveFloat | None = None
    """Initial noise scale sigma_0 of noisy layers (0.5 in Rainbow); None for no noise."""

    def build(self, features: int, actions: int, values: int) -> Stream:
        """Build the module: (float [B, features], generator) -> float [B, A, N]."""
        first = HiddenLayer(self, features)
        value, advantage = ActionValues(self, 1, values), ActionValues(self, actions, values)
        return Stream(first, DuelingOutput(value, advantage))


Layers: TypeAlias = Plain | Dueling | SharedDueling


class HiddenLayer(nn.Module):
    """A linear layer, optional normalization, and an activation."""

    def __init__(self, part: Layers, features: int) -> None:
        super().__init__()
        self.linear = before_relu(_linear(part, features, part.hidden))
        self.normalization = (
            nn.LayerNorm(part.hidden, eps=FLAX_EPSILON)
            if part.normalization == "layer"
            else nn.Identity()
        )
        self.activation = ACTIVATIONS[part.activation]

    def forward(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Map float [B, features] to float [B, hidden]."""
        hidden: Tensor = self.normalization(self.linear(features, generator))
        return self.activation(hidden)


class ActionValues(nn.Module):
    """An output layer with N values per action."""

    def __init__(self, part: Layers, actions: int, values: int) -> None:
        super().__init__()
        self.linear = output(_linear(part, part.hidden, actions * values))
        self.actions, self.count = actions, values

    def forward(self, hidden: Tensor, generator: Generator = None) -> Tensor:
        """Map float [B, hidden] to float [B, A, N]."""
        values: Tensor = self.linear(hidden, generator)
        return values.view(-1, self.actions, self.count)


class DuelingOutput(nn.Module):
    """Two output layers on one hidden layer: value + advantage - mean of advantage."""

    def __init__(self, value: ActionValues, advantage: ActionValues) -> None:
        super().__init__()
        self.value, self.advantage = value, advantage

    def forward(self, hidden: Tensor, generator: Generator = None) -> Tensor:
        """Map float [B, hidden] to float [B, A, N]."""
        value: Tensor = self.value(hidden, generator)
        return _dueling(value, self.advantage(hidden, generator))


class Stream(nn.Module):
    """A hidden layer and its output layer."""

    def __init__(self, first: HiddenLayer, last: ActionValues | DuelingOutput) -> None:
        super().__init__()
        self.first, self.last = first, last

    @property
    def hidden_units(self) -> int:
        """Width of the hidden layer."""
        return self.first.linear.out_features

    def projection(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Apply only the hidden layer's linear map: float [B, hidden_units]."""
        projection: Tensor = self.first.linear(features, generator)
        return projection

    def hidden(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Map features to the hidden layer's activations: float [B, hidden_units]."""
        hidden: Tensor = self.first(features, generator)
        return hidden

    def forward(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Map float [B, features] to float [B, A, N]."""
        values: Tensor = self.last(self.hidden(features, generator), generator)
        return values


class DuelingStreams(nn.Module):
    """value + advantage - mean of advantage; the hidden layers draw their noise first."""

    def __init__(self, value: Stream, advantage: Stream) -> None:
        super().__init__()
        self.value, self.advantage = value, advantage

    @property
    def hidden_units(self) -> int:
        """Width of both hidden layers together."""
        return self.value.hidden_units + self.advantage.hidden_units

    def projection(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Apply only both hidden layers' linear maps: float [B, hidden_units]."""
        value = self.value.projection(features, generator)
        return torch.cat([value, self.advantage.projection(features, generator)], 1)

    def hidden(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Map features to the activations, the value stream's first: float [B, hidden_units]."""
        value = self.value.hidden(features, generator)
        return torch.cat([value, self.advantage.hidden(features, generator)], 1)

    def forward(self, features: Tensor, generator: Generator = None) -> Tensor:
        """Map float [B, features] to float [B, A, N]."""
        hidden = self.hidden(features, generator)
        for_value, for_advantage = torch.tensor_split(hidden, [self.value.hidden_units], dim=1)
        value: Tensor = self.value.last(for_value, generator)
        return _dueling(value, self.advantage.last(for_advantage, generator))


def _gelu(x: Tensor) -> Tensor:
    return nn.functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": nn.functional.relu,
    "elu": nn.functional.elu,
    "gelu": _gelu,
}


def _linear(part: Layers, inputs: int, outputs: int) -> Linear | NoisyLinear:
    if part.noisy_sigma is None:
        return Linear(inputs, outputs)
    return NoisyLinear(inputs, outputs, part.noisy_sigma)


def _dueling(value: Tensor, advantage: Tensor) -> Tensor:
    """Combine float [B, 1, N] and [B, A, N]: the mean over actions is the state value."""
    return value + advantage - advantage.mean(1, keepdim=True)
