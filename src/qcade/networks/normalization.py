"""Modules that normalize feature maps or weights."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

FLAX_EPSILON = 1e-6


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of each pixel, as in Flax (Ba et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=FLAX_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        """Normalize float [B, C, h, w], each pixel by its own mean and variance."""
        normalized: Tensor = self.norm(maps.permute(0, 2, 3, 1))
        return normalized.permute(0, 3, 1, 2)


class SpectralConv(nn.Module):
    """A convolution whose kernel is divided by its largest singular value (Miyato et al. 2018).

    The kernel is treated as a matrix [outputs, inputs * height * width]. Its first left singular
    vector is tracked by one power iteration at each forward with gradients enabled and a trainable
    kernel. Acting and target networks do not update it, so evaluating a network never changes what
    it learns. (BTR uses PyTorch's version, which iterates at every forward.)
    """

    singular: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        matrix = convolution.weight.detach().flatten(1)
        vector = torch.randn(len(matrix), dtype=matrix.dtype, device=matrix.device)
        for _ in range(15):
            vector = _power_iteration(matrix, vector)
        self.register_buffer("singular", vector)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve float [B, C, h, w]."""
        layer = self.convolution
        return nn.functional.conv2d(
            maps, self.kernel(), layer.bias, layer.stride, layer.padding, layer.dilation
        )

    def kernel(self) -> Tensor:
        """Return the normalized kernel, whose largest singular value is about 1."""
        weight = self.convolution.weight
        with _without_autocast(weight.device):
            matrix = weight.flatten(1)
            vector = self.singular
            if torch.is_grad_enabled() and weight.requires_grad:
                vector = _power_iteration(matrix.detach(), vector)
                # Copied: the next iteration must not change a tensor that backward reads.
                self.singular.copy_(vector)
            largest: Tensor = torch.linalg.vector_norm(matrix.T @ vector)
            return weight / largest.clamp_min(1e-12)


def _without_autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    # The meta device, which only computes shapes, has no autocast.
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def _power_iteration(matrix: Tensor, left: Tensor) -> Tensor:
    right = nn.functional.normalize(matrix.T @ left, dim=0)
    return nn.functional.normalize(matrix @ right, dim=0)
