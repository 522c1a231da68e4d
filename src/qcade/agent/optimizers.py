"""Optimizers as recipe parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from qcade.parts import OptimizerSpec
from qcade.types import NotNegative, PositiveFloat, Progress


@dataclass(frozen=True)
class Adam(OptimizerSpec):
    """Adam (Kingma & Ba 2015), optionally AdamW (Loshchilov & Hutter 2019)."""

    learning_rate: PositiveFloat = 1e-4
    """Learning rate."""
    epsilon: PositiveFloat = 1e-8
    """Added to the square root of the second moment."""
    max_gradient_norm: PositiveFloat | None = 10.0
    """Gradients with a larger norm are scaled down to it; None for no clipping."""
    weight_decay: NotNegative = 0.0
    """Decoupled weight decay of all weights except biases; 0 for none."""
    anneals: bool = False
    """Whether the learning rate falls linearly to 0 at the end of the run."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimizer for these parameters."""
        if self.weight_decay == 0:
            return torch.optim.Adam(parameters, lr=self.learning_rate, eps=self.epsilon, fused=True)
        every = [*parameters]
        groups = [
            {"params": [p for p in every if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.learning_rate, eps=self.epsilon, fused=True)

    def learning_rate_at(self, progress: Progress) -> float | None:
        """The learning rate at this point of the run; None if it never changes."""
        return annealed(self.learning_rate, progress) if self.anneals else None


@dataclass(frozen=True)
class RAdam(OptimizerSpec):
    """Rectified Adam (Liu et al. 2020)."""

    learning_rate: PositiveFloat = 2.5e-4
    """Learning rate at the start."""
    epsilon: PositiveFloat = 1e-8
    """Added to the square root of the second moment."""
    max_gradient_norm: PositiveFloat | None = 10.0
    """Gradients with a larger norm are scaled down to it; None for no clipping."""
    anneals: bool = False
    """Whether the learning rate falls linearly to 0 at the end of the run."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimizer for these parameters."""
        # PyTorch has no fused RAdam; its default on a CPU is one call per tensor.
        return torch.optim.RAdam(parameters, lr=self.learning_rate, eps=self.epsilon, foreach=True)

    def learning_rate_at(self, progress: Progress) -> float | None:
        """The learning rate at this point of the run; None if it never changes."""
        return annealed(self.learning_rate, progress) if self.anneals else None


def annealed(learning_rate: float, progress: Progress) -> float:
    """Return the learning rate annealed linearly to 0 at the end of the run."""
    return learning_rate * (1.0 - progress.fraction)
