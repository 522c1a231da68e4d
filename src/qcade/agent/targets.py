"""How a target network follows the online network."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qcade.parts import TargetUpdate
from qcade.types import Positive, Probability


@dataclass(frozen=True)
class HardCopy(TargetUpdate):
    """A copy of the online network, renewed every `period_updates` updates."""

    period_updates: Positive = 1_000
    """Updates between copies; 1 means no separate target network."""

    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, initially equal to `online`."""
        return online if self.period_updates == 1 else _frozen_copy(online)

    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Copy all weights if a copy is due."""
        if target is not online and self.is_due(updates):
            target.load_state_dict(online.state_dict())

    def is_due(self, updates: int) -> bool:
        """Whether a copy is due after `updates` updates."""
        return updates % self.period_updates == 0


@dataclass(frozen=True)
class MovingAverage(TargetUpdate):
    """An exponential moving average of the online weights (Lillicrap et al. 2016)."""

    rate: Probability = 0.005
    """How far each update moves the average towards the online weights: 1 is all the way."""

    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, initially equal to `online`."""
        return _frozen_copy(online)

    @torch.no_grad()
    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Move the average by `rate`; buffers are copied."""
        weights: list[Tensor] = [*target.parameters()]
        torch._foreach_lerp_(weights, [*online.parameters()], self.rate)
        for mine, theirs in zip(target.buffers(), online.buffers(), strict=True):
            mine.copy_(theirs)


@dataclass(frozen=True)
class NoTarget(TargetUpdate):
    """No target network: the online network computes its own targets."""

    def make(self, online: nn.Module) -> nn.Module:
        """Return the online network itself."""
        return online

    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Do nothing."""

    def is_due(self, updates: int) -> bool:
        """Always false."""
        return False


def _frozen_copy(online: nn.Module) -> nn.Module:
    return copy.deepcopy(online).requires_grad_(False)
