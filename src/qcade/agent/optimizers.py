"""Optimizers as recipe parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from qcade.parts import OptimizerPart
from qcade.types import NotNegative, PositiveFloat, Progress


@dataclass(frozen=True)
class Adam(OptimizerPart):
    """Adam (Kingma & Ba 2015), with decoupled weight decay if asked (Loshchilov & Hutter 2019)."""

    learning_rate: PositiveFloat = 1e-4
    """Step size."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    max_gradient_norm: PositiveFloat | None = 10.0
    """Longer gradients are scaled down to this norm; None leaves them."""
    weight_decay: NotNegative = 0.0
    """Part of every weight that an update takes away, times the step size; biases are spared."""
    anneals: bool = False
    """Whether the step size falls along a straight line to 0 at the end of the run."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""
        if self.weight_decay == 0:
            return torch.optim.Adam(parameters, lr=self.learning_rate, eps=self.epsilon, fused=True)
        every = [*parameters]
        groups = [
            {"params": [p for p in every if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.learning_rate, eps=self.epsilon, fused=True)

    def learning_rate_at(self, progress: Progress) -> float | None:
        """The step size at some point of the run."""
        return annealed(self.learning_rate, progress) if self.anneals else None


@dataclass(frozen=True)
class RAdam(OptimizerPart):
    """Rectified Adam (Liu et al. 2020), whose step may shrink to 0 along the run."""

    learning_rate: PositiveFloat = 2.5e-4
    """Step size at the start."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    max_gradient_norm: PositiveFloat | None = 10.0
    """Longer gradients are scaled down to this norm; None leaves them."""
    anneals: bool = False
    """Whether the step size falls along a straight line to 0 at the end of the run."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""
        # PyTorch has no fused one; by itself it takes one call a tensor on a processor.
        return torch.optim.RAdam(parameters, lr=self.learning_rate, eps=self.epsilon, foreach=True)

    def learning_rate_at(self, progress: Progress) -> float | None:
        """The step size at some point of the run."""
        return annealed(self.learning_rate, progress) if self.anneals else None


def annealed(learning_rate: float, progress: Progress) -> float:
    """Take the step size along a straight line to 0 at the end of the run."""
    return learning_rate * (1.0 - progress.fraction)
