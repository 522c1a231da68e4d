"""Munchausen implicit quantile networks (Vieillard et al. 2020), as used by BTR."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from qcade.algorithms.losses import q_mean, taken
from qcade.algorithms.losses_munchausen import munchausen_bonus, soft_values
from qcade.algorithms.losses_quantile import (
    absolute_errors,
    quantile_huber,
    quantile_td_targets,
)
from qcade.networks.implicit_quantiles import ImplicitQuantileHead, ImplicitQuantileValues
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Batch, Loss, NotPositive, PositiveFloat, Probability, Units


@dataclass(frozen=True)
class MunchausenIQN(ReplayAlgorithm):
    """Implicit quantiles of the soft return, with the log-policy of the action as a bonus.

    All policies are the target network's, each computed from new fractions. In an n-step transition
    only the first action gets the bonus.
    """

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    temperature: PositiveFloat = 0.03
    """Temperature of the softmax policy, in units of the return."""
    alpha: Probability = 0.9
    """Weight of the bonus, which is temperature * log policy of the action taken."""
    lowest_log_policy: NotPositive = -1.0
    """Lower bound that the scaled log-policy is clipped to."""
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
        """Compute the quantile Huber loss of a batch; absolute errors are the priority."""
        with torch.no_grad():
            q_t = target(batch.s_t, generator).q_values
            quantiles_t = soft_values(target(batch.s_t, generator).quantiles, q_t, self.temperature)
            bonus = munchausen_bonus(
                target(batch.s_tm1, generator).q_values,
                batch.a_tm1,
                self.temperature,
                self.alpha,
                self.lowest_log_policy,
            )
            td_targets = quantile_td_targets(batch.r_t + bonus, batch.discount_t, quantiles_t)
        values_tm1: ImplicitQuantileValues = online(batch.s_tm1, generator)
        quantiles = taken(values_tm1.quantiles, batch.a_tm1)
        per_sample = quantile_huber(quantiles, values_tm1.taus, td_targets, self.kappa)
        metrics = {"q_mean": q_mean(values_tm1.q_values), "bonus_mean": bonus.mean()}
        return Loss(per_sample, absolute_errors(quantiles, td_targets), metrics)
