"""The torso of the Nature paper (Mnih et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from qcade.networks.convolutions import convolutions
from qcade.parts import Torso

# Channels, kernel size, stride.
CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))


@dataclass(frozen=True)
class Nature(Torso):
    """The three convolutions of Mnih et al. 2015: 32@8x8 s4, 64@4x4 s2, 64@3x3 s1, ReLU."""

    normalization: Literal["none", "channel", "layer"] = "none"
    """Normalization before each ReLU: over each pixel's channels (PQN) or the layer (CleanRL)."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] -> float [B, 64, h, w]; 7x7 for 84x84."""
        return convolutions(CONVOLUTIONS, stack, height, width, self.normalization)
