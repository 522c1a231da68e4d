"""A torso and a head behind one door that takes uint8 frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qcade.parts import Algorithm, Torso


class QNetwork(nn.Module):
    """From uint8 observations [B, S, H, W] to a named tuple with `q_values` [B, A]."""

    def __init__(self, torso: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.torso, self.head = torso, head

    def maps(self, observation: Tensor) -> Tensor:
        """Make the torso's feature maps of uint8 [B, S, H, W]: float [B, C, h, w]."""
        # Convolutions and normalization over channels are faster with the channels last, and bytes
        # are brought into that order faster than floats.
        in_order = observation.contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.torso(in_order.to(torch.float32) / 255.0)
        return maps

    def forward(self, observation: Tensor, generator: torch.Generator | None = None) -> Any:
        """Value every action of every observation; `generator` draws what is random in it.

        The generator must be on the network's device; None leaves the randomness out.
        """
        return self.head(self.maps(observation).flatten(1), generator)


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
            maps = torso_module(torch.zeros(1, *observation_shape))
        return QNetwork(torso_module, algorithm.head(tuple(maps.shape[1:]), actions))
