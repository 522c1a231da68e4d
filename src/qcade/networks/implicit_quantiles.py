"""The head that returns quantiles at any fraction (Dabney et al. 2018b)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qcade.networks.heads import midpoints
from qcade.networks.layers import before_relu


class ImplicitQuantileValues(NamedTuple):
    """Quantiles of the return per action, at fractions that differ between observations."""

    q_values: Tensor
    """float32 [B, A]: means of the quantiles."""
    quantiles: Tensor
    """float32 [B, A, N]"""
    taus: Tensor
    """float32 [B, N]: the fractions, shared by all actions of an observation."""


class ImplicitQuantileHead(nn.Module):
    """Multiplies the features by an embedding of each fraction, then applies the streams.

    The embedding is ReLU(W cos(pi i tau) + b) with i = 1..`cosines`, as in Dopamine and dqn_zoo.
    The paper prints i = 0..`cosines` - 1, whose first cosine is always 1: a second bias.
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
        """`streams` map `features` features to one value per action.

        With a generator, `samples` random fractions are drawn per observation; without one,
        `policy_samples` midpoints are used.
        """
        super().__init__()
        self.streams, self.samples, self.policy_samples = streams, samples, policy_samples
        self.embedding = before_relu(nn.Linear(cosines, features))
        frequencies = math.pi * torch.arange(1, cosines + 1, dtype=torch.float32)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(
        self, features: Tensor, generator: torch.Generator | None = None
    ) -> ImplicitQuantileValues:
        """Compute q_values [B, A] and quantiles [B, A, N] from features, float [B, features]."""
        batch = len(features)
        taus = self._taus(batch, features.device, generator)
        embedded = self.embedding(torch.cos(taus[:, :, None] * self.frequencies)).relu()
        values: Tensor = self.streams((features[:, None] * embedded).flatten(0, 1), generator)
        quantiles = values.float().view(batch, taus.shape[1], -1).transpose(1, 2)
        return ImplicitQuantileValues(quantiles.mean(2), quantiles, taus.expand(batch, -1))

    def _taus(self, batch: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            # One row for all observations, so that it is embedded only once.
            return midpoints(self.policy_samples, device)[None]
        return torch.rand(batch, self.samples, device=device, generator=generator)
