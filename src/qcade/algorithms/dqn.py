"""Deep Q-learning (Mnih et al. 2015), optionally double (van Hasselt et al. 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from qcade.algorithms.losses import ERRORS, double_q_learning_target, q_mean, taken
from qcade.networks.heads import ScalarHead
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Batch, Loss


@dataclass(frozen=True)
class DQN(ReplayAlgorithm):
    """Deep Q-learning: regression to the reward plus the value of the best next action."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    error: Literal["huber", "squared"] = "huber"
    """Loss function of the temporal-difference error."""
    double: bool = False
    """Whether the online network chooses the next action, as in double Q-learning."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> q_values [B, A]."""
        return ScalarHead(self.streams.build(math.prod(features), actions, 1))

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the temporal-difference loss of a batch."""
        with torch.no_grad():
            q_t = target(batch.s_t, generator).q_values
            chooser = online(batch.s_t, generator).q_values if self.double else q_t
            td_target = double_q_learning_target(batch.r_t, batch.discount_t, q_t, chooser)
        q_tm1 = online(batch.s_tm1, generator).q_values
        error = td_target - taken(q_tm1, batch.a_tm1)
        per_sample = ERRORS[self.error](error)
        return Loss(per_sample, error.detach().abs(), {"q_mean": q_mean(q_tm1)})
