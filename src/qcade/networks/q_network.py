"""The Q-network: a torso and a head, applied to uint8 frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qcade.parts import AnyAlgorithm, Torso


class QNetwork(nn.Module):
    """Maps uint8 observations [B, S, H, W] to a named tuple with `q_values` [B, A]."""

    def __init__(self, torso: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.torso, self.head = torso, head

    def maps(self, observation: Tensor) -> Tensor:
        """Compute the torso's feature maps: uint8 [B, S, H, W] -> float [B, C, h, w]."""
        # Convolutions and normalization over channels are faster with channels last, and bytes are
        # reordered faster than floats.
        channels_last = observation.contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.torso(channels_last.to(torch.float32) / 255.0)
        return maps

    def forward(self, observation: Tensor, generator: torch.Generator | None = None) -> Any:
        """Compute the head's outputs for every observation.

        The generator, on the network's device, generates random numbers in the network, such as
        noise; with None there is no randomness.
        """
        return self.head(self.maps(observation).flatten(1), generator)


def build_q_network(
    torso: Torso,
    algorithm: AnyAlgorithm,
    observation_shape: tuple[int, int, int],
    actions: int,
    seed: int,
) -> QNetwork:
    """Build a network for [S, H, W] observations with weights determined by `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torso_module = torso.build(*observation_shape)
        with torch.no_grad():
            maps = torso_module(torch.zeros(1, *observation_shape))
        return QNetwork(torso_module, algorithm.head(tuple(maps.shape[1:]), actions))
