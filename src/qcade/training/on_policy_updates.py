"""Learning from rollouts: every environment plays T decisions, then they are learned from.

The rollout lies in the frame ring like any other experience; its goals are worked out once, from
the values that it was played by, and then regressed to in shuffled minibatches.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from qcade.agent.learner import Learner
from qcade.recipe import OnPolicyRecipe
from qcade.replay.frames import FrameRing
from qcade.types import Batch, Progress, Rollout


class OnPolicyUpdates:
    """Makes the updates of an OnPolicyRecipe."""

    def __init__(
        self, recipe: OnPolicyRecipe, learner: Learner, ring: FrameRing, seed: int
    ) -> None:
        self.recipe, self.learner, self.ring = recipe, learner, ring
        self.generator = torch.Generator().manual_seed(seed)
        self._values: deque[Tensor] = deque(maxlen=recipe.rollouts.decisions + 1)
        """Q-values of the newest rows' observations, as the actor saw them: [E, A] each."""
        self._minibatches: list[tuple[Tensor, Tensor, Tensor]] = []
        """Row, environment and goal of each decision, [B] each; made and used up in one row."""

    def due(self, decisions: int) -> int:
        """Updates that belong to the decisions now being made: all of a rollout's, or none."""
        rollouts = self.recipe.rollouts
        decided_rows = self.ring.appended_rows - self.ring.opening_row - 1
        if decided_rows == 0 or decided_rows % rollouts.decisions:
            return 0
        return rollouts.epochs * rollouts.minibatches

    def heard(self, q_values: Tensor | None) -> None:
        """Keep what the actor made of the newest observations: float32 [E, A], if it asked."""
        if q_values is None:
            q_values = self.learner.q_values(self.ring.newest())
        self._values.append(q_values)

    def update(self, progress: Progress) -> dict[str, Tensor]:
        """Make one update from the next minibatch; return its metrics."""
        if not self._minibatches:
            self._minibatches = self._shuffled()
        row, environment, goal = self._minibatches.pop()
        observation = self.ring.observations(row, environment)
        actions = self.ring.action_at(row + 1, environment)
        batch = Batch(observation, actions, goal, torch.zeros_like(goal), observation)
        return self.learner.update(batch, None, progress).metrics

    def _shuffled(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        recipe = self.recipe
        first_row = self.ring.appended_rows - 1 - recipe.rollouts.decisions
        rollout = self.rollout(first_row)
        goals = recipe.algorithm.goals(rollout)
        row, environment = rollout.is_transition.nonzero(as_tuple=True)
        goal = goals[row, environment]
        minibatches = []
        for _ in range(recipe.rollouts.epochs):
            order = torch.randperm(len(row), generator=self.generator).to(row.device)
            parts = order.tensor_split(recipe.rollouts.minibatches)
            minibatches += [(first_row + row[p], environment[p], goal[p]) for p in parts]
        return minibatches[::-1]

    def rollout(self, first_row: int) -> Rollout:
        """Read the rollout that starts at a row, with the values of all its observations."""
        count, gamma = self.recipe.rollouts.decisions, self.recipe.rollouts.gamma
        values = torch.stack([*self._values])
        a_tm1, r_t, discount_t, is_transition = self.ring.steps(first_row, first_row + count)
        return Rollout(values, a_tm1, r_t, gamma * discount_t, is_transition)

    def tensors(self) -> dict[str, Tensor]:
        """Everything beside learner and ring that the next update depends on."""
        values = {"values": torch.stack([*self._values])} if self._values else {}
        return {"random": self.generator.get_state(), **values}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self.generator.set_state(tensors["random"])
        self._values.clear()
        if "values" in tensors:
            self._values.extend(tensors["values"].to(self.ring.device))
