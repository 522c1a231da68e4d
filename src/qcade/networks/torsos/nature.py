"""The torso of the Nature paper (Mnih et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from qcade.networks.layers import before_relu
from qcade.networks.normalization import ChannelNorm
from qcade.parts import Torso

# Channels, kernel size, stride.
CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))


@dataclass(frozen=True)
class Nature(Torso):
    """The three convolutions of Mnih et al. 2015: 32@8x8 s4, 64@4x4 s2, 64@3x3 s1, ReLU."""

    normalization: Literal["none", "channel", "layer"] = "none"
    """Before each ReLU: over the channels of each pixel (PQN), or over all of a layer (CleanRL)."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Make a module from float [B, S, H, W] to float [B, 64, h, w]; 7x7 for 84x84."""
        layers: list[nn.Module] = []
        inputs = stack
        for channels, kernel, stride in CONVOLUTIONS:
            layers.append(before_relu(nn.Conv2d(inputs, channels, kernel, stride)))
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            if self.normalization == "channel":
                layers.append(ChannelNorm(channels))
            elif self.normalization == "layer":
                layers.append(nn.LayerNorm([channels, height, width]))
            layers.append(nn.ReLU())
            inputs = channels
        return nn.Sequential(*layers)
