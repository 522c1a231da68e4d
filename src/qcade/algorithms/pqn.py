"""Parallelised Q-network: Q(lambda) on rollouts, no replay, no target (Gallici et al. 2025)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from qcade.algorithms.losses import q_mean, squared, taken
from qcade.algorithms.returns import RETURNS
from qcade.networks.heads import ScalarHead
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, OnPolicyAlgorithm, Streams
from qcade.types import Batch, Loss, Probability, Rollout


@dataclass(frozen=True)
class PQN(OnPolicyAlgorithm):
    """Regression to the lambda-returns of rollouts."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    trace_decay: Probability = 0.65
    """Lambda: 0 looks one decision ahead, 1 to the end of the episode or the rollout."""
    returns: Literal["peng", "watkins"] = "peng"
    """Whether returns look past random actions (peng, as published) or stop there (watkins)."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Make a module from float [B, prod(features)] to q_values [B, A]."""
        return ScalarHead(self.streams.build(math.prod(features), actions, 1))

    def goals(self, rollout: Rollout) -> Tensor:
        """Make the lambda-return of every decision: float32 [T, E], detached."""
        with torch.no_grad():
            return RETURNS[self.returns](rollout, self.trace_decay)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the squared error to the goals in `batch.r_t`; nothing else is looked at."""
        q_tm1 = online(batch.s_tm1, generator).q_values
        error = batch.r_t - taken(q_tm1, batch.a_tm1)
        return Loss(squared(error), error.detach().abs(), {"q_mean": q_mean(q_tm1)})
