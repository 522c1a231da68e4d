"""The actor turns observations into actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from qcade.machine import Hardware
from qcade.parts import HasQValues
from qcade.types import DoubleArray, IntArray


class Choice(NamedTuple):
    """What was chosen, and what it was chosen by."""

    actions: IntArray
    """int64 [E]."""
    q_values: Tensor | None
    """float32 [E, A] on the network's device; None where all actions were random."""


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
        """Choose actions: uint8 [E, S, H, W] and one epsilon or float64 [E] -> int64 [E]."""
        return self.choose(observations, epsilon).actions

    def choose(self, observations: Tensor, epsilon: float | DoubleArray) -> Choice:
        """Choose actions and tell the values: uint8 [E, S, H, W], one epsilon or float64 [E]."""
        return self.choose_by(lambda: self.q_values(observations), len(observations), epsilon)

    def choose_by(
        self, valuing: Callable[[], Tensor], count: int, epsilon: float | DoubleArray
    ) -> Choice:
        """Choose actions where `valuing` makes their values, float32 [E, A].

        It is called only if at least one action is not random.
        """
        chance = torch.rand(count, generator=self.generator)
        random_actions = torch.randint(self.actions, (count,), generator=self.generator)
        explores = chance < torch.as_tensor(epsilon)
        if explores.all():
            return Choice(cast(IntArray, random_actions.numpy()), None)
        values = valuing()
        # The one place where a GPU is waited for.
        actions = torch.where(explores, random_actions, values.argmax(1).cpu())
        return Choice(cast(IntArray, actions.numpy()), values)

    @torch.no_grad()
    def q_values(self, observations: Tensor) -> Tensor:
        """Value every action: uint8 [E, S, H, W] -> float32 [E, A]."""
        with self.hardware.autocast():
            output: HasQValues = self.network(observations.to(self.hardware.device), self.noise)
        return output.q_values
