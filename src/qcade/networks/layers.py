"""Layers with the initial weights that they need.

PyTorch's own initial weights shrink what depends on the observation at every layer and leave the
biases standing. On Pong, whose frames differ in a few pixels, the Nature network then sees hardly
any difference between observations, and Adam drives its last ReLU layer dead: an agent that never
learns, whatever its loss says (measured in docs/log.md).
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

LayerType = TypeVar("LayerType", bound=nn.Linear | nn.Conv2d)

OUTPUT_SCALE = 0.1


def before_relu(layer: LayerType) -> LayerType:
    """He et al. 2015: what comes out varies as much as what goes in; biases are 0."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return _without_bias(layer)


def glorot_uniform(layer: LayerType) -> LayerType:
    """Glorot & Bengio 2010: Keras' choice, and BBF's in residual blocks; biases are 0.

    With He's weights every residual block would double the variance, and the first values would be
    large.
    """
    nn.init.xavier_uniform_(layer.weight)
    return _without_bias(layer)


def glorot_normal(layer: LayerType) -> LayerType:
    """Glorot & Bengio 2010, Hadamax' choice before normalization and GELU; biases are 0."""
    nn.init.xavier_normal_(layer.weight)
    return _without_bias(layer)


def output(layer: LayerType) -> LayerType:
    """Small weights, so that all values are near 0 at first and none is chosen for its noise."""
    before_relu(layer)
    layer.weight.data.mul_(OUTPUT_SCALE)
    return layer


def _without_bias(layer: LayerType) -> LayerType:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
