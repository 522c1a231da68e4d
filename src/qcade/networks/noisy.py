"""Linear layers whose weights are drawn anew at each forward, so that the network explores."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """A linear layer that is called like a noisy one and draws nothing."""

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map float [..., inputs] to float [..., outputs]."""
        return super().forward(x)


class NoisyLinear(nn.Linear):
    """A linear layer with factorised Gaussian noise on its weights (Fortunato et al. 2018).

    `weight` and `bias` are the means and get their initial values from layers.py: the published
    U(-1/sqrt(inputs), 1/sqrt(inputs)) has the variance of PyTorch's default, which shrinks what
    depends on the observation. The sizes of the noise start as published, at sigma_0 /
    sqrt(inputs), those of the biases too.
    """

    def __init__(self, inputs: int, outputs: int, sigma_0: float) -> None:
        super().__init__(inputs, outputs)
        sigma = sigma_0 / math.sqrt(inputs)
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map float [..., inputs] to float [..., outputs] with one noise for all rows.

        The generator, on the layer's device, draws `inputs` and then `outputs` numbers; with None
        the mean weights are used.
        """
        mean = super().forward(x)
        if generator is None:
            return mean
        of_inputs = self._noise(self.in_features, generator)
        of_outputs = self._noise(self.out_features, generator)
        # The noise of weight [o, i] is of_outputs[o] * of_inputs[i]: it factors out of the product.
        noise = nn.functional.linear(x * of_inputs, self.weight_sigma, self.bias_sigma)
        return mean + noise * of_outputs

    def _noise(self, size: int, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(
            size, generator=generator, device=self.weight.device, dtype=torch.float32
        )
        return drawn.sign() * drawn.abs().sqrt()
