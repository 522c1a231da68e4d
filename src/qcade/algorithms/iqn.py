"""Implicit quantile networks (Dabney et al. 2018b)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from qcade.algorithms.losses import q_mean, taken
from qcade.algorithms.losses_quantile import quantile_huber, quantile_td_targets
from qcade.networks.implicit_quantiles import ImplicitQuantileHead, ImplicitQuantileValues
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Batch, Loss, PositiveFloat, Units


@dataclass(frozen=True)
class IQN(ReplayAlgorithm):
    """Quantiles of the return at random fractions; the target network chooses the next action."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    samples: Units = 64
    """Random fractions drawn for each observation during training."""
    policy_samples: Units = 32
    """Evenly spaced fractions used instead when a trained agent plays."""
    cosines: Units = 64
    """Cosine features that each fraction is embedded from."""
    kappa: PositiveFloat = 1.0
    """Huber threshold: the loss is quadratic up to this error and linear beyond."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> quantiles [B, A, N]."""
        count = math.prod(features)
        streams = self.streams.build(count, actions, 1)
        return ImplicitQuantileHead(streams, count, self.samples, self.policy_samples, self.cosines)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the quantile Huber loss of a batch; it is also the priority."""
        with torch.no_grad():
            # Choosing the action with the target's own fractions would overestimate its value.
            action_t = target(batch.s_t, generator).q_values.argmax(1)
            quantiles_t = taken(target(batch.s_t, generator).quantiles, action_t)
            td_targets = quantile_td_targets(batch.r_t, batch.discount_t, quantiles_t)
        values_tm1: ImplicitQuantileValues = online(batch.s_tm1, generator)
        quantiles = taken(values_tm1.quantiles, batch.a_tm1)
        per_sample = quantile_huber(quantiles, values_tm1.taus, td_targets, self.kappa)
        return Loss(per_sample, per_sample.detach(), {"q_mean": q_mean(values_tm1.q_values)})
