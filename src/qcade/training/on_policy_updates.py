"""Learning from rollouts: every environment plays T decisions, then they are learned from.

The rollout lies in the frame ring like any other experience; its goals are worked out once, with
the weights that it was played with, and then regressed to in shuffled minibatches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qcade.agent.learner import Learner
from qcade.recipe import OnPolicyRecipe
from qcade.replay.frames import FrameRing
from qcade.types import Batch, Progress, Rollout

CHUNK = 256
"""Observations valued at a time, so that memory stays small and caches warm."""


class OnPolicyUpdates:
    """Makes the updates of an OnPolicyRecipe."""

    def __init__(
        self, recipe: OnPolicyRecipe, learner: Learner, ring: FrameRing, seed: int
    ) -> None:
        self.recipe, self.learner, self.ring = recipe, learner, ring
        self.generator = torch.Generator().manual_seed(seed)
        self._minibatches: list[tuple[Tensor, Tensor, Tensor]] = []
        """Row, environment and goal of each decision, [B] each; made and used up in one row."""

    def due(self, decisions: int) -> int:
        """Updates that belong to the decisions now being made: all of a rollout's, or none."""
        rollouts = self.recipe.rollouts
        decided_rows = self.ring.appended_rows - self.ring.opening_row - 1
        if decided_rows == 0 or decided_rows % rollouts.decisions:
            return 0
        return rollouts.epochs * rollouts.minibatches

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
        recipe, first_row = (
            self.recipe,
            self.ring.appended_rows - 1 - self.recipe.rollouts.decisions,
        )
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
        """Read the rollout that starts at a row, and value all its observations."""
        count, gamma = self.recipe.rollouts.decisions, self.recipe.rollouts.gamma
        environments = self.ring.environments
        rows = torch.arange(first_row, first_row + count + 1, device=self.ring.device)
        row = rows.repeat_interleave(environments)
        environment = torch.arange(environments, device=self.ring.device).repeat(count + 1)
        values = [
            self.learner.q_values(self.ring.observations(*part))
            for part in zip(_chunks(row), _chunks(environment), strict=True)
        ]
        a_tm1, r_t, discount_t, is_transition = self.ring.steps(first_row, first_row + count)
        return Rollout(
            torch.cat(values).view(count + 1, environments, -1),
            a_tm1,
            r_t,
            gamma * discount_t,
            is_transition,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything beside learner and ring that the next update depends on."""
        return {"random": self.generator.get_state()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self.generator.set_state(tensors["random"])


def _chunks(part: Tensor) -> tuple[Tensor, ...]:
    return part.tensor_split(-(-len(part) // CHUNK))
