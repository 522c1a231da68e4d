"""Resets: taking weights back towards fresh ones, against the loss of plasticity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from qcade.parts import Resets
from qcade.types import Positive, Probability


@dataclass(frozen=True)
class ShrinkAndPerturb(Resets):
    """The torso, and any model of its features, go a part of the way; everything else, all of it.

    SR-SPR (D'Oro et al. 2023) and BBF (Schwarzer et al. 2023); Ash & Adams 2020.
    """

    period_updates: Positive = 20_000
    """Updates between resets."""
    last_update: Positive = 100_000
    """No reset after that many updates, so that what was learned can be enjoyed."""
    torso_kept: Probability = 0.5
    """Part of each of the torso's weights that stays; the rest is fresh."""

    def is_due(self, updates: int) -> bool:
        """Whether a reset follows this many updates."""
        return updates % self.period_updates == 0 and updates <= self.last_update

    @torch.no_grad()
    def apply(self, network: nn.Module, fresh: nn.Module) -> list[nn.Parameter]:
        """Reset a network with the weights of a fresh one; return the parameters that are new."""
        new = dict(fresh.named_parameters())
        renewed = []
        for name, parameter in network.named_parameters():
            if name.startswith(("torso.", "head.transition.")):
                parameter.lerp_(new[name], 1.0 - self.torso_kept)
            else:
                parameter.copy_(new[name])
                renewed.append(parameter)
        return renewed
