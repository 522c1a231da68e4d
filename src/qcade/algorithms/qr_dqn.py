"""Distributional Q-learning by quantile regression (Dabney et al. 2018a)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from qcade.algorithms.losses import q_mean, taken
from qcade.algorithms.losses_quantile import quantile_goals, quantile_huber
from qcade.networks.heads import QuantileHead, QuantileValues, midpoints
from qcade.networks.streams import Plain
from qcade.parts import Algorithm, FeatureShape, Streams
from qcade.types import Batch, Loss, PositiveFloat, Units


@dataclass(frozen=True)
class QRDQN(Algorithm):
    """Quantiles of the return at fixed fractions; the target chooses the next action."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    quantiles: Units = 200
    """Quantiles of each action's return."""
    kappa: PositiveFloat = 1.0
    """Errors up to this size are squared, those beyond count in proportion."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Make a module from float [B, prod(features)] to quantiles [B, A, N]."""
        return QuantileHead(self.streams.build(math.prod(features), actions, self.quantiles))

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the quantile Huber loss of a batch, which is the priority as well."""
        with torch.no_grad():
            values_t: QuantileValues = target(batch.s_t, generator)
            quantiles_t = taken(values_t.quantiles, values_t.q_values.argmax(1))
            goals = quantile_goals(batch.r_t, batch.discount_t, quantiles_t)
        values_tm1: QuantileValues = online(batch.s_tm1, generator)
        quantiles = taken(values_tm1.quantiles, batch.a_tm1)
        taus = midpoints(quantiles.shape[1], quantiles.device)
        per_sample = quantile_huber(quantiles, taus, goals, self.kappa)
        return Loss(per_sample, per_sample.detach(), {"q_mean": q_mean(values_tm1.q_values)})
