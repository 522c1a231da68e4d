"""A torso for coarse frames: half of the usual size, an eighth of Nature's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from qcade.networks.convolutions import convolutions
from qcade.parts import Torso

# Channels, kernel size, stride.
CONVOLUTIONS = ((32, 5, 3), (32, 4, 2))


@dataclass(frozen=True)
class Coarse(Torso):
    """Two convolutions for frames of 42x42, of this project: 32@5x5 s3, 32@4x4 s2, ReLU."""

    normalization: Literal["none", "channel"] = "none"
    """Before each ReLU: over the channels of each pixel, as in PQN."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Make a module from float [B, S, H, W] to float [B, 32, h, w]; 5x5 for 42x42."""
        return convolutions(CONVOLUTIONS, stack, height, width, self.normalization)
