"""Distributional Q-learning by quantile regression (Dabney et al. 2018a)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from qcade.algorithms.losses import q_mean, taken
from qcade.algorithms.losses_quantile import quantile_huber, quantile_td_targets
from qcade.networks.heads import QuantileHead, QuantileValues, midpoints
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Batch, Loss, PositiveFloat, Units


@dataclass(frozen=True)
class QRDQN(ReplayAlgorithm):
    """Quantiles of the return at fixed fractions; the target network chooses the next action."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    quantiles: Units = 200
    """Number of quantiles for each action."""
    kappa: PositiveFloat = 1.0
    """Huber threshold: the loss is quadratic up to this error and linear beyond."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> quantiles [B, A, N]."""
        return QuantileHead(self.streams.build(math.prod(features), actions, self.quantiles))

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the quantile Huber loss of a batch; it is also the priority."""
        with torch.no_grad():
            values_t: QuantileValues = target(batch.s_t, generator)
            quantiles_t = taken(values_t.quantiles, values_t.q_values.argmax(1))
            td_targets = quantile_td_targets(batch.r_t, batch.discount_t, quantiles_t)
        values_tm1: QuantileValues = online(batch.s_tm1, generator)
        quantiles = taken(values_tm1.quantiles, batch.a_tm1)
        taus = midpoints(quantiles.shape[1], quantiles.device)
        per_sample = quantile_huber(quantiles, taus, td_targets, self.kappa)
        return Loss(per_sample, per_sample.detach(), {"q_mean": q_mean(values_tm1.q_values)})
