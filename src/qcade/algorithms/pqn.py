"""PQN: Q(lambda) on rollouts, without replay or target network (Gallici et al. 2024)."""

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
from qcade.parts import FeatureShape, RolloutAlgorithm, Streams
from qcade.types import Loss, Minibatch, Probability, Rollout


@dataclass(frozen=True)
class PQN(RolloutAlgorithm):
    """Regression of the Q-values to lambda-returns of rollouts."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    trace_decay: Probability = 0.65
    """Lambda: 0 for one-step returns, 1 to look ahead to the end of the episode or rollout."""
    returns: Literal["peng", "watkins"] = "peng"
    """Lambda-returns that continue past random actions (peng, as published) or stop (watkins)."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> q_values [B, A]."""
        return ScalarHead(self.streams.build(math.prod(features), actions, 1))

    def compute_returns(self, rollout: Rollout) -> Tensor:
        """Compute the lambda-return of every decision: float32 [T, E], detached."""
        with torch.no_grad():
            return RETURNS[self.returns](rollout, self.trace_decay)

    def loss(
        self, online: nn.Module, minibatch: Minibatch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the squared error between Q-values and returns."""
        q_values = online(minibatch.observation, generator).q_values
        error = minibatch.returns - taken(q_values, minibatch.action)
        return Loss(squared(error), error.detach().abs(), {"q_mean": q_mean(q_values)})
