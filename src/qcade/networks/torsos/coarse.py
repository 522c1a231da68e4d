"""A torso for frames of half the usual size, with an eighth of Nature's multiply-adds."""

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
    """Two convolutions for 42x42 frames, designed for qcade: 32@5x5 s3, 32@4x4 s2, ReLU."""

    normalization: Literal["none", "channel"] = "none"
    """Normalization before each ReLU: over the channels of each pixel (PQN), or none."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] -> float [B, 32, h, w]; 5x5 for 42x42."""
        return convolutions(CONVOLUTIONS, stack, height, width, self.normalization)
