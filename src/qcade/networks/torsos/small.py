"""The small torso for learning from little data (van Hasselt et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from qcade.networks.convolutions import convolutions
from qcade.parts import Torso

# Channels, kernel size, stride.
CONVOLUTIONS = ((32, 5, 5), (64, 5, 5))


@dataclass(frozen=True)
class Small(Torso):
    """Two non-overlapping convolutions, as in van Hasselt et al. 2019: 32@5x5 s5, 64@5x5 s5."""

    normalization: Literal["none", "channel"] = "none"
    """Normalization before each ReLU: over the channels of each pixel (PQN), or none."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] -> float [B, 64, h, w]; 3x3 for 84x84."""
        return convolutions(CONVOLUTIONS, stack, height, width, self.normalization)
