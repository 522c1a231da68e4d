"""Munchausen implicit quantile networks (Vieillard et al. 2020), what BTR learns with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from qcade.algorithms.losses import q_mean, taken
from qcade.algorithms.losses_munchausen import munchausen_bonus, soft_values
from qcade.algorithms.losses_quantile import absolute_errors, quantile_goals, quantile_huber
from qcade.networks.implicit_quantiles import ImplicitQuantileHead, ImplicitQuantileValues
from qcade.networks.streams import Plain
from qcade.parts import Algorithm, FeatureShape, Streams
from qcade.types import Batch, Loss, NotPositive, PositiveFloat, Probability, Units


@dataclass(frozen=True)
class MunchausenIQN(Algorithm):
    """Implicit quantiles of the soft return, with the log-policy of the action as a bonus.

    Both policies are the target network's, of fractions of their own. Of an n-step transition only
    the first action gets the bonus.
    """

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    temperature: PositiveFloat = 0.03
    """Temperature of the softmax policy, in units of the return."""
    alpha: Probability = 0.9
    """Part of the scaled log-policy, temperature * log policy, that is added to the reward."""
    lowest_log_policy: NotPositive = -1.0
    """The scaled log-policy counts as no less than this."""
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
        """Compute the quantile Huber loss of a batch; sizes of errors are the priority."""
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
            goals = quantile_goals(batch.r_t + bonus, batch.discount_t, quantiles_t)
        values_tm1: ImplicitQuantileValues = online(batch.s_tm1, generator)
        quantiles = taken(values_tm1.quantiles, batch.a_tm1)
        per_sample = quantile_huber(quantiles, values_tm1.taus, goals, self.kappa)
        metrics = {"q_mean": q_mean(values_tm1.q_values), "bonus_mean": bonus.mean()}
        return Loss(per_sample, absolute_errors(quantiles, goals), metrics)
