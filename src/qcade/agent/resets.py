"""Resets of weights towards fresh ones, against the loss of plasticity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from qcade.networks.q_network import QNetwork
from qcade.networks.transition import TransitionModel
from qcade.parts import Resets
from qcade.types import Positive, Probability


@dataclass(frozen=True)
class ShrinkAndPerturb(Resets):
    """Interpolate torso and transition model towards fresh weights; replace all other weights.

    As in SR-SPR (D'Oro et al. 2023) and BBF (Schwarzer et al. 2023), after Ash & Adams 2020.
    """

    period_updates: Positive = 20_000
    """Updates between resets."""
    last_update: Positive = 100_000
    """No resets after this many updates, so that the final agent is fully trained."""
    torso_kept: Probability = 0.5
    """Share of the old value in each torso weight after a reset; the rest is the fresh value."""

    def is_due(self, updates: int) -> bool:
        """Whether a reset is due after `updates` updates."""
        return updates % self.period_updates == 0 and updates <= self.last_update

    @torch.no_grad()
    def apply(self, network: nn.Module, fresh: nn.Module) -> list[nn.Parameter]:
        """Reset a network with a fresh one's weights; return the parameters that were replaced."""
        interpolated = _feature_parameters(network)
        replaced = []
        for parameter, new in zip(network.parameters(), fresh.parameters(), strict=True):
            if id(parameter) in interpolated:
                parameter.lerp_(new, 1.0 - self.torso_kept)
            else:
                parameter.copy_(new)
                replaced.append(parameter)
        return replaced


def _feature_parameters(network: nn.Module) -> set[int]:
    """The ids of the parameters of the torso and of models that predict its features."""
    assert isinstance(network, QNetwork)
    models = (module for module in network.modules() if isinstance(module, TransitionModel))
    return {id(p) for module in (network.torso, *models) for p in module.parameters()}
