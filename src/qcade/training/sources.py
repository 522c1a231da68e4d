"""Sources of batches: the interface of replay memory and rollouts to the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from qcade.compute.runners import Plan
from qcade.types import Batch, Minibatch, Sample


@dataclass
class Clock:
    """How far a run has come; only the loop advances it."""

    decisions: int = 0
    """Decisions of all environments."""
    updates: int = 0
    """Gradient updates."""
    episodes: int = 0
    """Episodes that have ended."""


class Source(Protocol):
    """Plans batches on the host and gathers them on the device."""

    needs_q_values: bool
    """Whether `due` needs the Q-values of every observation."""

    def due(self, clock: Clock, q_values: Tensor | None) -> Iterator[list[Plan]]:
        """Plan the updates due with the current decisions, in lists.

        Updates of one list can run without interruption. Request the next list only after the
        updates of the last one are made and counted. `q_values`, float32 [E, A], are the actor's
        for the newest observations; None if all actions were random and the source needs none.
        """
        ...

    def next_plans(self, clock: Clock, most: int) -> list[Plan]:
        """Plan the next updates that can run without interruption: at least 1, at most `most`."""
        ...

    def gather(self, plan: Plan) -> tuple[Batch | Minibatch, Sample]:
        """Gather the batch of a plan, with constant shapes and without waiting for the device."""
        ...

    def update_priorities(self, sample: Sample, priority: Tensor) -> None:
        """Set the priorities of a sample, float32 [B], that the loss returned."""
        ...

    def weights_were_reset(self, updates: int) -> None:
        """Called when weights have been reset after `updates` updates."""
        ...

    def mutable_tensors(self) -> list[Tensor]:
        """The tensors that `gather` and `update_priorities` write to, always the same ones."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next update depends on, other than learner and ring."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned."""
        ...
