"""A torso with features rescaled to [0, 1], so that they can be compared with predictions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from qcade.parts import Torso

EPSILON = 1e-5


@dataclass(frozen=True)
class Renormalized(Torso):
    """Any torso, with each observation's maps jointly rescaled to [0, 1], as in SPR and BBF."""

    torso: Torso
    """The torso whose maps are rescaled."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] -> float [B, C, h, w] in [0, 1]."""
        return nn.Sequential(self.torso.build(stack, height, width), Renormalization())


class Renormalization(nn.Module):
    """`renormalize` as a module."""

    def forward(self, maps: Tensor) -> Tensor:
        """Rescale float [B, ...] to [0, 1]."""
        return renormalize(maps)


def renormalize(maps: Tensor) -> Tensor:
    """Rescale float [B, ...] to [0, 1], each entry of B by its smallest and largest feature.

    As in Schrittwieser et al. 2020. Constant maps become 0.
    """
    dimensions = tuple(range(1, maps.ndim))
    low, high = maps.amin(dimensions, keepdim=True), maps.amax(dimensions, keepdim=True)
    return (maps - low) / (high - low + EPSILON)
