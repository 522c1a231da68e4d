"""The tutorial's Q-learning; two of its misprints can be turned on as settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from qcade.algorithms.losses import q_learning_target, q_mean, squared, taken, towards_zero
from qcade.networks.heads import ScalarHead, SoftmaxHead
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Batch, Loss

HEADS: dict[str, type[nn.Module]] = {"linear": ScalarHead, "softmax": SoftmaxHead}


@dataclass(frozen=True)
class TutorialDQN(ReplayAlgorithm):
    """Deep Q-learning with a squared error, as the tutorial intended it."""

    streams: Streams = field(default_factory=lambda: Plain(activation="elu"))
    """Layers after the torso."""
    output: Literal["linear", "softmax"] = "linear"
    """Last activation; the tutorial prints softmax, which cannot represent returns."""
    untaken_actions: Literal["ignored", "towards-zero"] = "ignored"
    """Treatment of actions not taken; the tutorial as printed regresses their values to 0."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> q_values [B, A]."""
        return HEADS[self.output](self.streams.build(math.prod(features), actions, 1))

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the squared temporal-difference loss of a batch."""
        with torch.no_grad():
            q_t = target(batch.s_t, generator).q_values
            td_target = q_learning_target(batch.r_t, batch.discount_t, q_t)
        q_tm1 = online(batch.s_tm1, generator).q_values
        error = td_target - taken(q_tm1, batch.a_tm1)
        if self.untaken_actions == "towards-zero":
            per_sample = towards_zero(q_tm1, batch.a_tm1, error)
        else:
            per_sample = squared(error)
        return Loss(per_sample, error.detach().abs(), {"q_mean": q_mean(q_tm1)})
