"""Implicit quantile networks (Dabney et al. 2018b)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from qcade.algorithms.losses import q_mean, taken
from qcade.algorithms.losses_quantile import quantile_goals, quantile_huber
from qcade.networks.implicit_quantiles import ImplicitQuantileHead, ImplicitQuantileValues
from qcade.networks.streams import Plain
from qcade.parts import Algorithm, FeatureShape, Streams
from qcade.types import Batch, Loss, PositiveFloat, Units


@dataclass(frozen=True)
class IQN(Algorithm):
    """Quantiles of the return at random fractions; the target chooses the next action."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    samples: Units = 64
    """Fractions drawn for each observation, wherever there is a generator to draw them."""
    policy_samples: Units = 32
    """Evenly spaced fractions that take their place where there is none."""
    cosines: Units = 64
    """Width of what fractions are embedded from."""
    kappa: PositiveFloat = 1.0
    """Errors up to this size are squared, those beyond count in proportion."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Make a module from float [B, prod(features)] to quantiles [B, A, N]."""
        count = math.prod(features)
        streams = self.streams.build(count, actions, 1)
        return ImplicitQuantileHead(streams, count, self.samples, self.policy_samples, self.cosines)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the quantile Huber loss of a batch, which is the priority as well."""
        with torch.no_grad():
            # Fractions of its own choose the action: the goal's would favour their own luck.
            action_t = target(batch.s_t, generator).q_values.argmax(1)
            quantiles_t = taken(target(batch.s_t, generator).quantiles, action_t)
            goals = quantile_goals(batch.r_t, batch.discount_t, quantiles_t)
        values_tm1: ImplicitQuantileValues = online(batch.s_tm1, generator)
        quantiles = taken(values_tm1.quantiles, batch.a_tm1)
        per_sample = quantile_huber(quantiles, values_tm1.taus, goals, self.kappa)
        return Loss(per_sample, per_sample.detach(), {"q_mean": q_mean(values_tm1.q_values)})
