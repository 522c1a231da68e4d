"""The actor turns observations into actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from qcade.machine import Hardware
from qcade.parts import HasQValues
from qcade.types import DoubleArray, IntArray


class Actor:
    """Plays greedily but for a random action now and then, each environment on its own."""

    def __init__(
        self,
        network: nn.Module,
        actions: int,
        hardware: Hardware,
        seed: int,
        noise: torch.Generator | None = None,
    ) -> None:
        """Play with a network; `noise`, on its device, draws what is random in it, if anything."""
        self.network, self.actions, self.hardware, self.noise = network, actions, hardware, noise
        self.generator = torch.Generator().manual_seed(seed)

    def act(self, observations: Tensor, epsilon: float | DoubleArray) -> IntArray:
        """Choose actions: uint8 [E, S, H, W] and one epsilon or float64 [E] -> int64 [E].

        The network is asked only if at least one action is not random.
        """
        return self.choose(lambda: self.greedy(observations), len(observations), epsilon)

    def choose(
        self, greedy: Callable[[], Tensor], count: int, epsilon: float | DoubleArray
    ) -> IntArray:
        """Choose actions where `greedy` makes the best ones, int64 [E]; it may not be called."""
        chance = torch.rand(count, generator=self.generator)
        random_actions = torch.randint(self.actions, (count,), generator=self.generator)
        explores = chance < torch.as_tensor(epsilon)
        if explores.all():
            return cast(IntArray, random_actions.numpy())
        # The one place where a GPU is waited for.
        best = greedy().cpu()
        return cast(IntArray, torch.where(explores, random_actions, best).numpy())

    def greedy(self, observations: Tensor) -> Tensor:
        """Find the best actions: uint8 [E, S, H, W] -> int64 [E], on the network's device."""
        return self.q_values(observations).argmax(1)

    @torch.no_grad()
    def q_values(self, observations: Tensor) -> Tensor:
        """Value every action: uint8 [E, S, H, W] -> float32 [E, A]."""
        with self.hardware.autocast():
            output: HasQValues = self.network(observations.to(self.hardware.device), self.noise)
        return output.q_values
