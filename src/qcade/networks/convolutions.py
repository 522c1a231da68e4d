"""A sequence of convolutions, each with optional normalization and a ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from torch import nn

from qcade.networks.layers import before_relu
from qcade.networks.normalization import ChannelNorm

Normalization: TypeAlias = Literal["none", "channel", "layer"]
"""None, over the channels of each pixel, or over the whole layer."""


def convolutions(
    layers: Sequence[tuple[int, int, int]],
    stack: int,
    height: int,
    width: int,
    normalization: Normalization,
) -> nn.Sequential:
    """Build a module without padding: float [B, S, H, W] -> float [B, C, h, w].

    `layers` are (channels, kernel size, stride); C is the number of channels of the last one.
    """
    modules: list[nn.Module] = []
    inputs = stack
    for channels, kernel, stride in layers:
        modules.append(before_relu(nn.Conv2d(inputs, channels, kernel, stride)))
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        if normalization == "channel":
            modules.append(ChannelNorm(channels))
        elif normalization == "layer":
            modules.append(nn.LayerNorm([channels, height, width]))
        modules.append(nn.ReLU())
        inputs = channels
    return nn.Sequential(*modules)
