"""How a target network follows the online network."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import nn

from qcade.types import Positive, TargetNetwork


@dataclass(frozen=True)
class HardCopy(TargetNetwork):
    """A copy, renewed every so many updates."""

    period_updates: Positive = 1_000
    """Updates between copies; 1 is the same as no target network."""

    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, equal to `online` at first."""
        if self.period_updates == 1:
            return online
        return copy.deepcopy(online).requires_grad_(False)

    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Copy all weights if the period is over."""
        if target is not online and updates % self.period_updates == 0:
            target.load_state_dict(online.state_dict())
