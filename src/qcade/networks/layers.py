"""Weight initialisation of layers.

With PyTorch's default initialisation, the differences between observations shrink at every layer
while the biases do not. On Pong, whose frames differ in a few pixels, the Nature network hardly
distinguishes observations then, and Adam drives its last ReLU layer dead: the agent never learns,
although its loss looks normal (measured in docs/log.md).
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

LayerType = TypeVar("LayerType", bound=nn.Linear | nn.Conv2d)

OUTPUT_SCALE = 0.1


def before_relu(layer: LayerType) -> LayerType:
    """He et al. 2015: preserves the variance through a ReLU layer; biases are 0."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return _without_bias(layer)


def glorot_uniform(layer: LayerType) -> LayerType:
    """Glorot & Bengio 2010: the default of Keras, and of BBF in residual blocks; biases are 0.

    With He initialisation every residual block would double the variance, so the initial values
    would be large.
    """
    nn.init.xavier_uniform_(layer.weight)
    return _without_bias(layer)


def glorot_normal(layer: LayerType) -> LayerType:
    """Glorot & Bengio 2010, as in Hadamax before normalization and GELU; biases are 0."""
    nn.init.xavier_normal_(layer.weight)
    return _without_bias(layer)


def output(layer: LayerType) -> LayerType:
    """Small weights: initial values are near 0, so that no action is preferred by chance."""
    before_relu(layer)
    layer.weight.data.mul_(OUTPUT_SCALE)
    return layer


def _without_bias(layer: LayerType) -> LayerType:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
