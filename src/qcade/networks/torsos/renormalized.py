"""A torso whose maps are brought to [0, 1], so that features and predictions of them compare."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from qcade.parts import Torso

EPSILON = 1e-5


@dataclass(frozen=True)
class Renormalized(Torso):
    """Any torso, all of an observation's maps rescaled to [0, 1] together, as in SPR and BBF."""

    torso: Torso
    """What makes the maps."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Make a module from float [B, S, H, W] to float [B, C, h, w] in [0, 1]."""
        return nn.Sequential(self.torso.build(stack, height, width), Renormalization())


class Renormalization(nn.Module):
    """`renormalize` as a module."""

    def forward(self, maps: Tensor) -> Tensor:
        """Rescale float [B, ...] to [0, 1]."""
        return renormalize(maps)


def renormalize(maps: Tensor) -> Tensor:
    """Rescale float [B, ...] to [0, 1], each of the B by its own smallest and largest feature.

    Schrittwieser et al. 2020. What is the same everywhere becomes 0.
    """
    dimensions = tuple(range(1, maps.ndim))
    low, high = maps.amin(dimensions, keepdim=True), maps.amax(dimensions, keepdim=True)
    return (maps - low) / (high - low + EPSILON)
