"""The small torso for learning from little data (van Hasselt et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from qcade.networks.layers import before_relu
from qcade.networks.normalization import ChannelNorm
from qcade.parts import Torso


@dataclass(frozen=True)
class Small(Torso):
    """Two convolutions that do not overlap, of van Hasselt et al. 2019: 32@5x5 s5, 64@5x5 s5."""

    normalization: Literal["none", "channel"] = "none"
    """Before each ReLU: over the channels of each pixel, as in PQN."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Make a module from float [B, S, H, W] to float [B, 64, h, w]; 3x3 for 84x84."""
        layers: list[nn.Module] = []
        inputs = stack
        for channels in (32, 64):
            layers.append(before_relu(nn.Conv2d(inputs, channels, 5, 5)))
            if self.normalization == "channel":
                layers.append(ChannelNorm(channels))
            layers.append(nn.ReLU())
            inputs = channels
        return nn.Sequential(*layers)
