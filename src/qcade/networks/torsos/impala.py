"""The residual torso of IMPALA (Espeholt et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from qcade.networks.layers import glorot_uniform
from qcade.networks.normalization import SpectralConv
from qcade.parts import Torso
from qcade.types import MapSide, WidthFactor

CHANNELS = (16, 32, 32)


@dataclass(frozen=True)
class Impala(Torso):
    """Three stages of convolution, max-pooling and two residual blocks (Espeholt et al. 2018)."""

    width: WidthFactor = 1
    """Factor of the channels 16, 32, 32: 2 in BTR, 4 in BBF."""
    spectral_normalization: bool = False
    """Whether the residual blocks use spectral normalization, as in BTR."""
    pooled_side: MapSide | None = None
    """Side that the final maps are max-pooled to: 6 in BTR; None for no pooling."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] -> float [B, 32 * width, h, w]; 11x11 for 84x84."""
        layers: list[nn.Module] = []
        inputs = stack
        for channels in (self.width * channels for channels in CHANNELS):
            layers += [
                glorot_uniform(nn.Conv2d(inputs, channels, 3, padding=1)),
                nn.MaxPool2d(3, stride=2, padding=1),
                ResidualBlock(channels, self.spectral_normalization),
                ResidualBlock(channels, self.spectral_normalization),
            ]
            inputs = channels
        layers.append(nn.ReLU())
        if self.pooled_side is not None:
            layers.append(nn.AdaptiveMaxPool2d(self.pooled_side))
        return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """Adds to its input the output of two convolutions, each after a ReLU."""

    def __init__(self, channels: int, spectral_normalization: bool) -> None:
        super().__init__()
        self.first = _convolution(channels, spectral_normalization)
        self.second = _convolution(channels, spectral_normalization)

    def forward(self, maps: Tensor) -> Tensor:
        """Map float [B, C, h, w] to the same shape."""
        inner = self.first(nn.functional.relu(maps))
        change: Tensor = self.second(nn.functional.relu(inner))
        return maps + change


def _convolution(channels: int, spectral_normalization: bool) -> nn.Module:
    convolution = glorot_uniform(nn.Conv2d(channels, channels, 3, padding=1))
    return SpectralConv(convolution) if spectral_normalization else convolution
