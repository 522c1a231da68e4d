"""The tutorial's torso."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from qcade.networks.layers import glorot_uniform
from qcade.parts import Torso
from qcade.types import Pixels


@dataclass(frozen=True)
class TutorialTorso(Torso):
    """The tutorial's three convolutions without pooling: 32@8x8, 64@3x3, 64@3x3, ELU."""

    strides: tuple[Pixels, Pixels, Pixels] = (4, 2, 2)
    """Strides of the convolutions; the tutorial as printed uses the kernel sizes, 8 3 3."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] -> float [B, 64, h, w]; 5x4 for 105x80."""
        first, second, third = self.strides
        return nn.Sequential(
            glorot_uniform(nn.Conv2d(stack, 32, 8, first)),
            nn.ELU(),
            glorot_uniform(nn.Conv2d(32, 64, 3, second)),
            nn.ELU(),
            glorot_uniform(nn.Conv2d(64, 64, 3, third)),
            nn.ELU(),
        )
