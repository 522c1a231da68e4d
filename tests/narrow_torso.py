"""A torso of one's own, so narrow that whole runs fit into the repository."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from qcade.parts import Torso


@dataclass(frozen=True)
class Narrow(Torso):
    """Two convolutions with a few channels."""

    channels: int = 4
    """Of both."""
    stride: int = 4
    """Of the first."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Make a module from float [B, S, H, W] to float [B, C, h, w]."""
        return nn.Sequential(
            nn.Conv2d(stack, self.channels, 5, self.stride),
            nn.ReLU(),
            nn.Conv2d(self.channels, self.channels, 3, 1),
            nn.ReLU(),
        )
