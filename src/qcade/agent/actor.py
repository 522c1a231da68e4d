"""The actor turns observations into actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from qcade.compute.hardware import Hardware
from qcade.parts import HasQValues
from qcade.types import DoubleArray, IntArray


class Choice(NamedTuple):
    """The chosen actions, and the Q-values they were chosen by."""

    actions: IntArray
    """int64 [E]."""
    q_values: Tensor | None
    """float32 [E, A] on the network's device; None if all actions were random."""


class Actor:
    """Plays epsilon-greedily, independently in each environment."""

    def __init__(
        self,
        network: nn.Module,
        actions: int,
        hardware: Hardware,
        seed: int,
        noise: torch.Generator | None = None,
    ) -> None:
        """Play with a network; `noise`, on its device, generates its random numbers, if any."""
        self.network, self.actions, self.hardware, self.noise = network, actions, hardware, noise
        self.generator = torch.Generator().manual_seed(seed)

    def act(self, observations: Tensor, epsilon: float | DoubleArray) -> IntArray:
        """Choose actions: uint8 [E, S, H, W] and one epsilon or float64 [E] -> int64 [E]."""
        return self.choose(observations, epsilon).actions

    def choose(self, observations: Tensor, epsilon: float | DoubleArray) -> Choice:
        """As `act`, but return the Q-values too."""
        return self.choose_by(lambda: self.q_values(observations), len(observations), epsilon)

    def choose_by(
        self,
        compute_q_values: Callable[[], Tensor],
        count: int,
        epsilon: float | DoubleArray,
        always_values: bool = False,
    ) -> Choice:
        """Choose actions in `count` environments; `compute_q_values` returns float32 [E, A].

        It is called only if at least one action is not random, unless `always_values`.
        """
        chance = torch.rand(count, generator=self.generator)
        random_actions = torch.randint(self.actions, (count,), generator=self.generator)
        explores = chance < torch.as_tensor(epsilon)
        if explores.all():
            q_values = compute_q_values() if always_values else None
            return Choice(cast(IntArray, random_actions.numpy()), q_values)
        q_values = compute_q_values()
        # The only place that waits for a GPU.
        actions = torch.where(explores, random_actions, q_values.argmax(1).cpu())
        return Choice(cast(IntArray, actions.numpy()), q_values)

    @torch.no_grad()
    def q_values(self, observations: Tensor) -> Tensor:
        """Compute the Q-values: uint8 [E, S, H, W] -> float32 [E, A]."""
        with self.hardware.autocast():
            output: HasQValues = self.network(observations.to(self.hardware.device), self.noise)
        return output.q_values
