"""A torso and a head behind one door that takes uint8 frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qcade.types import Algorithm, Torso


class QNetwork(nn.Module):
    """From uint8 observations [B, S, H, W] to a named tuple with `q_values` [B, A]."""

    def __init__(self, torso: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.torso, self.head = torso, head

    def forward(self, observation: Tensor) -> Any:
        """Value every action of every observation."""
        return self.head(self.torso(observation.float() / 255.0))


def build_q_network(
    torso: Torso,
    algorithm: Algorithm,
    observation_shape: tuple[int, int, int],
    actions: int,
    seed: int,
) -> QNetwork:
    """Build a network for [S, H, W] observations with weights that follow from `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torso_module = torso.build(*observation_shape)
        with torch.no_grad():
            features = torso_module(torch.zeros(1, *observation_shape)).shape[1]
        return QNetwork(torso_module, algorithm.head(features, actions))
