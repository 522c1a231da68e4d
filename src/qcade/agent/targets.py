"""How a target network follows the online network."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qcade.parts import TargetNetwork
from qcade.types import Positive, Probability


@dataclass(frozen=True)
class HardCopy(TargetNetwork):
    """A copy, renewed every so many updates."""

    period_updates: Positive = 1_000
    """Updates between copies; 1 is the same as no target network."""

    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, equal to `online` at first."""
        return online if self.period_updates == 1 else _frozen_copy(online)

    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Copy all weights if the period is over."""
        if target is not online and self.is_due(updates):
            target.load_state_dict(online.state_dict())

    def is_due(self, updates: int) -> bool:
        """Whether the period is over."""
        return updates % self.period_updates == 0


@dataclass(frozen=True)
class MovingAverage(TargetNetwork):
    """An exponential moving average of the online weights (Lillicrap et al. 2016)."""

    rate: Probability = 0.005
    """Part of the way to the online weights that every update goes."""

    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, equal to `online` at first."""
        return _frozen_copy(online)

    @torch.no_grad()
    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Go a part of the way; what is no weight (buffers) is copied."""
        weights: list[Tensor] = [*target.parameters()]
        torch._foreach_lerp_(weights, [*online.parameters()], self.rate)
        for mine, theirs in zip(target.buffers(), online.buffers(), strict=True):
            mine.copy_(theirs)


@dataclass(frozen=True)
class NoTarget(TargetNetwork):
    """None: the online network values its own future."""

    def make(self, online: nn.Module) -> nn.Module:
        """Return the online network itself."""
        return online

    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Do nothing."""

    def is_due(self, updates: int) -> bool:
        """Never."""
        return False


def _frozen_copy(online: nn.Module) -> nn.Module:
    return copy.deepcopy(online).requires_grad_(False)
