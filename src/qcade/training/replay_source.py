"""Batches from the replay memory: which updates are due, and their transitions and horizon."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from qcade.compute.runners import Plan
from qcade.recipe import Replay, ReplayRecipe
from qcade.replay.frames import FrameRing
from qcade.training.sources import Clock
from qcade.types import Batch, Sample


class ReplaySource:
    """Plans and gathers the batches of a ReplayRecipe."""

    def __init__(
        self, recipe: ReplayRecipe, ring: FrameRing, seed: int, max_updates_per_graph: int = 1
    ) -> None:
        """Sample from a ring; up to `max_updates_per_graph` updates are planned at once."""
        self.recipe, self.ring, self.max_updates_per_graph = recipe, ring, max_updates_per_graph
        self.sampler = recipe.replay.sampling.build(ring.rows, ring.environments, ring.device, seed)
        self._last_reset = 0
        """Number of updates before the last reset of weights."""

    needs_q_values = False
    """The learner computes all Q-values itself."""

    def due(self, clock: Clock, q_values: Tensor | None = None) -> Iterator[list[Plan]]:
        """Plan the updates due with the current decisions: `per_period` per period.

        They start once enough rows are in the replay memory.
        """
        decided_rows = self.ring.appended_rows - self.ring.opening_row - 1
        if decided_rows < self.recipe.start_rows:
            return
        updates, before = self.recipe.updates, clock.decisions
        after = before + self.recipe.environments
        periods = after // updates.period_decisions - before // updates.period_decisions
        left = periods * updates.per_period
        while left:
            plans = self.next_plans(clock, left)
            left -= len(plans)
            yield plans

    def next_plans(self, clock: Clock, most: int) -> list[Plan]:
        """Plan up to `most` next updates that can run without interruption."""
        count = self._uninterrupted_updates(clock.updates, min(most, self.max_updates_per_graph))
        return [self._plan(clock, clock.updates + number) for number in range(count)]

    def _plan(self, clock: Clock, updates: int) -> Plan:
        """Plan the update after `updates` updates."""
        replay = self.recipe.replay
        n_step, gamma = self._horizon_after(updates)
        progress = self.recipe.progress(clock.decisions)
        draw = self.sampler.plan(
            self.ring, self.recipe.updates.batch_size, replay.most_n_step, progress
        )
        return Plan(n_step, (gamma, *draw))

    def gather(self, plan: Plan) -> tuple[Batch, Sample]:
        """Draw the planned transitions and gather them as n-step transitions."""
        gamma, *draw = plan.inputs
        sample = self.sampler.draw(tuple(draw))
        batch = self.ring.gather(
            sample.row, sample.environment, plan.n_step, gamma, self.recipe.algorithm.future_steps
        )
        return batch, sample

    def update_priorities(self, sample: Sample, priority: Tensor) -> None:
        """Pass the priorities from the loss to the sampler."""
        self.sampler.update_priorities(sample, priority)

    def _horizon_after(self, updates: int) -> tuple[int, float]:
        """n and gamma of the update after `updates` updates."""
        return horizon_at(self.recipe.replay, updates - self._last_reset)

    def _uninterrupted_updates(self, updates: int, most: int) -> int:
        """Count the next updates that can run without interruption, as a power of 2 (few sizes).

        Between them n does not change, and no reset or target-network update is due.
        """
        n_step, count = self._horizon_after(updates)[0], 1
        resets = self.recipe.resets
        while count < most:
            done = updates + count
            if self.recipe.target.is_due(done) or (resets is not None and resets.is_due(done)):
                break
            if self._horizon_after(done)[0] != n_step:
                break
            count += 1
        return 1 << (count.bit_length() - 1)

    def weights_were_reset(self, updates: int) -> None:
        """Restart the annealing of the horizon."""
        self._last_reset = updates

    def mutable_tensors(self) -> list[Tensor]:
        """The sampler's mutable tensors."""
        return self.sampler.mutable_tensors()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next update depends on, other than learner and ring."""
        return {**self.sampler.tensors(), "last_reset": torch.tensor(self._last_reset)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned."""
        self._last_reset = int(tensors["last_reset"])
        self.sampler.restore({k: v for k, v in tensors.items() if k != "last_reset"})


def horizon_at(replay: Replay, updates: int) -> tuple[int, float]:
    """n and gamma after `updates` updates since the start or the last reset.

    n and 1 - gamma are annealed exponentially from the horizon's start values to `replay.n_step`
    and `replay.gamma`, as in the code of BBF (Schwarzer et al. 2023).
    """
    horizon = replay.horizon
    if horizon is None or updates >= horizon.anneal_updates:
        return replay.n_step, replay.gamma
    passed = updates / horizon.anneal_updates
    n_step = horizon.start_n_step * (replay.n_step / horizon.start_n_step) ** passed
    start, end = 1.0 - horizon.start_gamma, 1.0 - replay.gamma
    return round(n_step), 1.0 - start * (end / start) ** passed
