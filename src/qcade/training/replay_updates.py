"""Learning from a replay memory: which batch, which horizon, and what comes after an update."""

from __future__ import annotations

import torch
from torch import Tensor

from qcade.agent.learner import Learner
from qcade.networks.q_network import build_q_network
from qcade.recipe import Replay, ReplayRecipe
from qcade.replay.frames import FrameRing
from qcade.types import Progress


class ReplayUpdates:
    """Makes the updates of a ReplayRecipe."""

    def __init__(
        self, recipe: ReplayRecipe, learner: Learner, ring: FrameRing, actions: int, seed: int
    ) -> None:
        self.recipe, self.learner, self.ring = recipe, learner, ring
        self.actions, self.seed = actions, seed
        self.sampler = recipe.replay.sampling.build(ring.rows, ring.environments, ring.device, seed)
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
        replay, algorithm = self.recipe.replay, self.recipe.algorithm
        n_step, gamma = horizon_at(replay, self.learner.updates - self._last_reset)
        size = self.recipe.updates.batch_size
        drawn = self.sampler.sample(self.ring, size, replay.most_n_step, progress)
        batch = self.ring.gather(
            drawn.row, drawn.environment, n_step, gamma, algorithm.future_steps
        )
        loss = self.learner.update(batch, drawn.importance, progress)
        self.sampler.learned(drawn, loss.priority)
        self._reset_if_due()
        return loss.metrics

    def _reset_if_due(self) -> None:
        recipe, updates = self.recipe, self.learner.updates
        if recipe.resets is None or not recipe.resets.is_due(updates):
            return
        # Every reset has fresh weights of its own, the same again after a resume.
        seed, shape = self.seed + updates, (recipe.stack, self.ring.height, self.ring.width)
        fresh = build_q_network(recipe.torso, recipe.algorithm, shape, self.actions, seed)
        self.learner.reset(recipe.resets, fresh)
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
