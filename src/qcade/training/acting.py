"""Choosing the actions of a training run from the newest row of its ring."""

from __future__ import annotations

from torch import Tensor

from qcade.agent.actor import Actor
from qcade.replay.frames import FrameRing
from qcade.training.cuda_graph import Written
from qcade.training.launching import make_launcher
from qcade.types import DoubleArray, IntArray


class Acting:
    """An actor in front of a ring."""

    def __init__(self, actor: Actor, ring: FrameRing) -> None:
        self.actor, self.ring = actor, ring
        noise = [] if actor.noise is None else [actor.noise]
        self.launcher = make_launcher(actor.hardware, ring.storage, lambda: Written([], noise))

    def act(self, epsilons: float | DoubleArray) -> IntArray:
        """Choose an action in every environment: one epsilon or float64 [E] -> int64 [E]."""
        return self.actor.choose(self._greedy, self.ring.environments, epsilons)

    def _greedy(self) -> Tensor:
        return self.launcher.run("act", self._step, [()])["actions"]

    def _step(self) -> dict[str, Tensor]:
        return {"actions": self.actor.greedy(self.ring.newest())}
