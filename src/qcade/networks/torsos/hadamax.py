"""The Hadamax torso: products of two branches, and max-pooling (Kooi et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from qcade.networks.layers import glorot_normal
from qcade.networks.normalization import ChannelNorm
from qcade.parts import Torso

# Channels, kernel size, window and stride of the max-pooling.
BLOCKS = ((32, 8, 4, 4), (64, 4, 2, 2), (64, 3, 3, 1))


@dataclass(frozen=True)
class Hadamax(Torso):
    """Three blocks, each the product of two convolutions' activations, then max-pooled.

    Convolutions 32@8x8, 64@4x4 and 64@3x3, all of stride 1, each followed by normalization over
    the channels of each pixel and GELU; max-pooling 4x4 s4, 2x2 s2, 3x3 s1 (Kooi et al. 2025).
    """

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] -> float [B, 64, h, w]; 11x11 for 84x84."""
        inputs = (stack, 32, 64)
        return nn.Sequential(
            *(
                HadamaxBlock(in_channels, *sizes)
                for in_channels, sizes in zip(inputs, BLOCKS, strict=True)
            )
        )


class Branch(nn.Module):
    """A convolution that keeps height and width, normalization over channels, GELU."""

    def __init__(self, inputs: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.convolution = glorot_normal(nn.Conv2d(inputs, channels, kernel))
        self.norm = ChannelNorm(channels)

    def forward(self, padded: Tensor) -> Tensor:
        """Map float maps, padded by kernel size - 1, to float [B, C, h, w]."""
        return nn.functional.gelu(self.norm(self.convolution(padded)), approximate="tanh")


class HadamaxBlock(nn.Module):
    """The product of two branches, max-pooled."""

    def __init__(self, inputs: int, channels: int, kernel: int, window: int, stride: int) -> None:
        super().__init__()
        self.one = Branch(inputs, channels, kernel)
        self.other = Branch(inputs, channels, kernel)
        self.kernel, self.window, self.stride = kernel, window, stride

    def forward(self, maps: Tensor) -> Tensor:
        """Map float [B, C, h, w] to float [B, channels, h / stride, w / stride], rounded up."""
        padded = pad_same(maps, self.kernel, 1)
        product = self.one(padded) * self.other(padded)
        # Padding must never be the maximum.
        pooled = pad_same(product, self.window, self.stride, float("-inf"))
        return nn.functional.max_pool2d(pooled, self.window, self.stride)


def pad_same(maps: Tensor, window: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad so that the output has size / stride, rounded up, as Flax's "SAME" does.

    If the padding is odd, right and bottom get one more than left and top.
    """
    height, width = maps.shape[-2:]
    padding = [
        side
        for size in (width, height)
        for total in [max(0, (-(-size // stride) - 1) * stride + window - size)]
        for side in (total // 2, total - total // 2)
    ]
    return nn.functional.pad(maps, padding, value=value)
