"""Optimizers as recipe parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from qcade.types import OptimizerPart, PositiveFloat


@dataclass(frozen=True)
class Adam(OptimizerPart):
    """Adam (Kingma & Ba 2015)."""

    learning_rate: PositiveFloat = 1e-4
    """Step size."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    max_gradient_norm: PositiveFloat | None = 10.0
    """Longer gradients are scaled down to this norm; None leaves them."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""
        return torch.optim.Adam(parameters, lr=self.learning_rate, eps=self.epsilon, fused=True)
