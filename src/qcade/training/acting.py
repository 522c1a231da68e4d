"""Choosing the actions of a training run from the newest row of its ring."""

from __future__ import annotations

from torch import Tensor

from qcade.agent.actor import Actor, Choice
from qcade.replay.frames import FrameRing
from qcade.training.cuda_graph import Written
from qcade.training.launching import make_launcher
from qcade.types import DoubleArray


class Acting:
    """An actor in front of a ring."""

    def __init__(self, actor: Actor, ring: FrameRing) -> None:
        self.actor, self.ring = actor, ring
        noise = [] if actor.noise is None else [actor.noise]
        self.launcher = make_launcher(actor.hardware, ring.storage, lambda: Written([], noise))

    def act(self, epsilons: float | DoubleArray) -> Choice:
        """Choose an action in every environment by one epsilon or float64 [E]."""
        return self.actor.choose_by(self._values, self.ring.environments, epsilons)

    def _values(self) -> Tensor:
        # A copy, since the next launch writes over them and a rollout keeps them.
        return self.launcher.run("act", self._step, [()])["q_values"].clone()

    def _step(self) -> dict[str, Tensor]:
        return {"q_values": self.actor.q_values(self.ring.newest())}
