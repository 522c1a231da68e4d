"""Munchausen deep Q-learning (Vieillard et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from qcade.algorithms.losses import ERRORS, q_mean, taken
from qcade.algorithms.losses_munchausen import munchausen_bonus, soft_value
from qcade.networks.heads import ScalarHead
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Batch, Loss, NotPositive, PositiveFloat, Probability


@dataclass(frozen=True)
class MunchausenDQN(ReplayAlgorithm):
    """Soft Q-learning with the log-policy of the action taken added to the reward.

    All policies are the target network's. In an n-step transition only the first action gets the
    bonus: the other rewards are summed unchanged.
    """

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    error: Literal["huber", "squared"] = "huber"
    """Loss function of the temporal-difference error."""
    temperature: PositiveFloat = 0.03
    """Temperature of the softmax policy, in units of the return."""
    alpha: Probability = 0.9
    """Weight of the bonus, which is temperature * log policy of the action taken."""
    lowest_log_policy: NotPositive = -1.0
    """Lower bound that the scaled log-policy is clipped to."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> q_values [B, A]."""
        return ScalarHead(self.streams.build(math.prod(features), actions, 1))

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the temporal-difference loss of a batch."""
        with torch.no_grad():
            q_t = target(batch.s_t, generator).q_values
            bonus = munchausen_bonus(
                target(batch.s_tm1, generator).q_values,
                batch.a_tm1,
                self.temperature,
                self.alpha,
                self.lowest_log_policy,
            )
            td_target = batch.r_t + bonus + batch.discount_t * soft_value(q_t, self.temperature)
        q_tm1 = online(batch.s_tm1, generator).q_values
        error = td_target - taken(q_tm1, batch.a_tm1)
        metrics = {"q_mean": q_mean(q_tm1), "bonus_mean": bonus.mean()}
        return Loss(ERRORS[self.error](error), error.detach().abs(), metrics)
