"""Linear layers with new noise on the weights at each forward, so that the network explores."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """A linear layer with the call signature of `NoisyLinear`, without noise."""

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map float [..., inputs] to float [..., outputs]."""
        return super().forward(x)


class NoisyLinear(nn.Linear):
    """A linear layer with factorised Gaussian noise on its weights (Fortunato et al. 2018).

    `weight` and `bias` are the means. They are initialised by layers.py, because the published
    U(-1/sqrt(inputs), 1/sqrt(inputs)) shrinks differences between observations like PyTorch's
    default. The scales of the noise start as published, at sigma_0 / sqrt(inputs), also for biases.
    """

    def __init__(self, inputs: int, outputs: int, sigma_0: float) -> None:
        super().__init__(inputs, outputs)
        sigma = sigma_0 / math.sqrt(inputs)
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map float [..., inputs] to float [..., outputs], with the same noise for all rows.

        The generator, on the layer's device, draws `inputs` and then `outputs` numbers; with None
        the mean weights are used.
        """
        mean = super().forward(x)
        if generator is None:
            return mean
        input_noise = self._noise(self.in_features, generator)
        output_noise = self._noise(self.out_features, generator)
        # The noise of weight [o, i] is output_noise[o] * input_noise[i]: it factors out.
        noise = nn.functional.linear(x * input_noise, self.weight_sigma, self.bias_sigma)
        return mean + noise * output_noise

    def _noise(self, size: int, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(
            size, generator=generator, device=self.weight.device, dtype=torch.float32
        )
        return drawn.sign() * drawn.abs().sqrt()
