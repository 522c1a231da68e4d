"""The head that gives quantiles at any fraction (Dabney et al. 2018b)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qcade.networks.heads import midpoints
from qcade.networks.layers import before_relu


class ImplicitQuantileValues(NamedTuple):
    """Quantiles of the return at each observation's own fractions for each action."""

    q_values: Tensor
    """float32 [B, A]: means of the quantiles."""
    quantiles: Tensor
    """float32 [B, A, N]"""
    taus: Tensor
    """float32 [B, N]: the fractions; the same for all actions of an observation."""


class ImplicitQuantileHead(nn.Module):
    """Multiplies the features by an embedding of each fraction, then asks the streams.

    The embedding is ReLU(W cos(pi i tau) + b) with i = 1..`cosines`, as in Dopamine and dqn_zoo.
    The paper prints i = 0..`cosines` - 1, whose first cosine is 1 always: a second bias.
    """

    frequencies: Tensor

    def __init__(
        self,
        streams: nn.Module,
        features: int,
        samples: int,
        policy_samples: int = 32,
        cosines: int = 64,
    ) -> None:
        """Take streams from `features` to one value for each action.

        `samples` fractions are drawn for each observation where there is a generator;
        `policy_samples` midpoints take their place where there is none.
        """
        super().__init__()
        self.streams, self.samples, self.policy_samples = streams, samples, policy_samples
        self.embedding = before_relu(nn.Linear(cosines, features))
        frequencies = math.pi * torch.arange(1, cosines + 1, dtype=torch.float32)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(
        self, features: Tensor, generator: torch.Generator | None = None
    ) -> ImplicitQuantileValues:
        """Value the actions: float [B, features] -> q_values [B, A], quantiles [B, A, N]."""
        batch = len(features)
        taus = self._taus(batch, features.device, generator)
        embedded = self.embedding(torch.cos(taus[:, :, None] * self.frequencies)).relu()
        values: Tensor = self.streams((features[:, None] * embedded).flatten(0, 1), generator)
        quantiles = values.float().view(batch, taus.shape[1], -1).transpose(1, 2)
        return ImplicitQuantileValues(quantiles.mean(2), quantiles, taus.expand(batch, -1))

    def _taus(self, batch: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            # One row for all observations, so that it is embedded once.
            return midpoints(self.policy_samples, device)[None]
        return torch.rand(batch, self.samples, device=device, generator=generator)
