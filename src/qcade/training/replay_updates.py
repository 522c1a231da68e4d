"""Learning from a replay memory: which batch, which horizon, and what comes after an update."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from qcade.agent.learner import Learner
from qcade.networks.q_network import build_q_network
from qcade.recipe import Replay, ReplayRecipe
from qcade.replay.frames import FrameRing
from qcade.training.cuda_graph import Written
from qcade.training.launching import make_launcher
from qcade.types import Progress


class ReplayUpdates:
    """Makes the updates of a ReplayRecipe."""

    def __init__(
        self, recipe: ReplayRecipe, learner: Learner, ring: FrameRing, actions: int, seed: int
    ) -> None:
        self.recipe, self.learner, self.ring = recipe, learner, ring
        self.actions, self.seed = actions, seed
        self.sampler = recipe.replay.sampling.build(ring.rows, ring.environments, ring.device, seed)
        self.launcher = make_launcher(learner.hardware, ring.storage, self._written)
        self._last_reset = 0
        """Number of the update after which weights were last reset."""

    def due(self, decisions: int) -> int:
        """Updates that belong to the decisions now being made, of which there were so many."""
        decided_rows = self.ring.appended_rows - self.ring.opening_row - 1
        if decided_rows < self.recipe.start_rows:
            return 0
        period = self.recipe.updates.period_decisions
        after = decisions + self.recipe.environments
        return (after // period - decisions // period) * self.recipe.updates.per_period

    def update(self, progress: Progress) -> dict[str, Tensor]:
        """Make one update from a freshly drawn batch; return its metrics."""
        return self.launch(1, progress)[1]

    def launch(self, most: int, progress: Progress) -> tuple[int, dict[str, Tensor]]:
        """Make one update, or several where the host has nothing to do in between, up to `most`.

        Returns how many, and the sums of their metrics.
        """
        count, replay = self._together(min(most, self.launcher.most_steps)), self.recipe.replay
        inputs = []
        for number in range(count):
            n_step, gamma = self._horizon_after(number)
            prepared = self.sampler.prepare(
                self.ring, self.recipe.updates.batch_size, replay.most_n_step, progress
            )
            inputs.append((gamma, *prepared))
        self.learner.begin(progress)
        metrics = self.launcher.run(n_step, partial(self.step, n_step), inputs)
        self.learner.finish(count)
        self._reset_if_due()
        return count, metrics

    def step(self, n_step: int, gamma: float | Tensor, *prepared: Any) -> dict[str, Tensor]:
        """Draw what was prepared, gather, learn and set priorities, all of it on the device.

        Shapes are the same each time and nothing waits, whatever the values. Returns metrics.
        """
        drawn = self.sampler.draw(prepared)
        batch = self.ring.gather(
            drawn.row, drawn.environment, n_step, gamma, self.recipe.algorithm.future_steps
        )
        loss = self.learner.step(batch, drawn.importance)
        self.sampler.learned(drawn, loss.priority)
        return loss.metrics

    def _written(self) -> Written:
        generator = self.learner.generator
        tensors = [*self.learner.written(), *self.sampler.written()]
        return Written(tensors, [] if generator is None else [generator])

    def _horizon_after(self, updates: int) -> tuple[int, float]:
        """n and gamma of the update that comes after so many more."""
        since = self.learner.updates + updates - self._last_reset
        return horizon_at(self.recipe.replay, since)

    def _together(self, most: int) -> int:
        """Count the next updates that make one launch: a power of 2, so that few sizes occur.

        Between them neither n changes, nor is a reset or a copy to the target network due.
        """
        n_step, count = self._horizon_after(0)[0], 1
        while count < most:
            done = self.learner.updates + count
            if self.learner.target_rule.is_due(done) or self._reset_is_due(done):
                break
            if self._horizon_after(count)[0] != n_step:
                break
            count += 1
        return 1 << (count.bit_length() - 1)

    def _reset_is_due(self, updates: int) -> bool:
        resets = self.recipe.resets
        return resets is not None and resets.is_due(updates)

    def _reset_if_due(self) -> None:
        recipe, updates = self.recipe, self.learner.updates
        if recipe.resets is None or not recipe.resets.is_due(updates):
            return
        # Every reset has fresh weights of its own, the same again after a resume.
        seed, shape = self.seed + updates, (recipe.stack, self.ring.height, self.ring.width)
        fresh = build_q_network(recipe.torso, recipe.algorithm, shape, self.actions, seed)
        self.learner.reset(recipe.resets, fresh)
        self.launcher.forget()
        self._last_reset = updates

    def heard(self, q_values: Tensor | None) -> None:
        """Nothing: what is learned from is valued anew."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything beside learner and ring that the next update depends on."""
        return {**self.sampler.tensors(), "last_reset": torch.tensor(self._last_reset)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self._last_reset = int(tensors["last_reset"])
        self.sampler.restore({k: v for k, v in tensors.items() if k != "last_reset"})


def horizon_at(replay: Replay, updates: int) -> tuple[int, float]:
    """n and gamma, so many updates after the start or the last reset.

    1 - gamma and n go exponentially from the horizon's start to the replay's own figures, as in
    the code of BBF (Schwarzer et al. 2023).
    """
    horizon = replay.horizon
    if horizon is None or updates >= horizon.anneal_updates:
        return replay.n_step, replay.gamma
    passed = updates / horizon.anneal_updates
    n_step = horizon.start_n_step * (replay.n_step / horizon.start_n_step) ** passed
    start, end = 1.0 - horizon.start_gamma, 1.0 - replay.gamma
    return round(n_step), 1.0 - start * (end / start) ** passed
