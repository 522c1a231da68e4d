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
from qcade.training.cuda_graph import Written
from qcade.training.launching import make_launcher
from qcade.training.minibatches import Minibatch, as_cut, padded
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
        self.launcher = make_launcher(learner.hardware, ring.storage, self._written)
        self._minibatches: list[Minibatch] = []
        """Of the rollout that is learned from, used up from the end."""

    @property
    def _decided_rows(self) -> int:
        return self.ring.appended_rows - self.ring.opening_row - 1

    def due(self, decisions: int) -> int:
        """Updates that belong to the decisions now being made: a rollout's, a share, or none."""
        rollouts = self.recipe.rollouts
        updates = rollouts.epochs * rollouts.minibatches
        shares = rollouts.decisions if rollouts.overlap else 1
        row = self._decided_rows % rollouts.decisions
        # Rounded up, so that a rollout's first updates come at its end, when all is known of it.
        made, wanted = (-(-updates * min(rows, shares) // shares) for rows in (row, row + 1))
        if row:
            return min(wanted - made, len(self._minibatches))
        # A fork whose rollouts are longer than its parent's has not heard all of the first one.
        return wanted if len(self._values) > rollouts.decisions else 0

    def heard(self, q_values: Tensor | None) -> None:
        """Keep what the actor made of the newest observations: float32 [E, A], if it asked."""
        if self._decided_rows == 0:
            # The memory is new: whatever was known of an older one is of no use.
            self._values.clear()
            self._minibatches.clear()
        if q_values is None:
            q_values = self.learner.q_values(self.ring.newest())
        self._values.append(q_values)

    def update(self, progress: Progress) -> dict[str, Tensor]:
        """Make one update from the next minibatch; return its metrics."""
        return self.launch(1, progress)[1]

    def launch(self, most: int, progress: Progress) -> tuple[int, dict[str, Tensor]]:
        """Make one update or several, up to `most`; return how many, and their metrics' sums."""
        if not self._minibatches:
            self.prepare()
        count = min(most, self.launcher.most_steps, len(self._minibatches))
        # A power of 2, so that few sizes occur.
        count = 1 << (count.bit_length() - 1)
        inputs = [self._minibatches.pop() for _ in range(count)]
        self.learner.begin(progress)
        metrics = self.launcher.run("update", self.step, inputs)
        self.learner.finish(count)
        return count, metrics

    def prepare(self) -> None:
        """Work out the goals of the rollout that was played last, and shuffle its decisions."""
        self._minibatches = self._shuffled()

    def step(
        self, row: Tensor, environment: Tensor, goal: Tensor, importance: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Gather a minibatch and learn from it, all of it on the device; return metrics.

        int64 [B], int64 [B], float32 [B] and, where B is padded, weights float32 [B].
        """
        observation = self.ring.observations(row, environment)
        actions = self.ring.action_at(row + 1, environment)
        batch = Batch(observation, actions, goal, torch.zeros_like(goal), observation)
        return self.learner.step(batch, importance).metrics

    def _written(self) -> Written:
        generator = self.learner.generator
        return Written(self.learner.written(), [] if generator is None else [generator])

    def _shuffled(self) -> list[Minibatch]:
        rollouts, ring = self.recipe.rollouts, self.ring
        first_row = ring.appended_rows - 1 - rollouts.decisions
        goals = self.recipe.algorithm.goals(self.rollout(first_row))
        # Where transitions are is known on the host; a GPU would have to be waited for.
        row = torch.arange(first_row, first_row + rollouts.decisions)
        row = row.repeat_interleave(ring.environments)
        environment = torch.arange(ring.environments).repeat(rollouts.decisions)
        starts = ring.is_start(row, environment)
        row, environment = row[starts], environment[starts]
        parts = [
            part
            for _ in range(rollouts.epochs)
            for part in torch.randperm(len(row), generator=self.generator).tensor_split(
                rollouts.minibatches
            )
        ]
        if self.launcher.most_steps == 1:
            return as_cut(parts, row, environment, goals, first_row)[::-1]
        size = -(-rollouts.decisions * ring.environments // rollouts.minibatches)
        return padded(parts, row, environment, goals, first_row, size)[::-1]

    def rollout(self, first_row: int) -> Rollout:
        """Read the rollout that starts at a row, with the values of all its observations."""
        count, gamma = self.recipe.rollouts.decisions, self.recipe.rollouts.gamma
        values = torch.stack([*self._values])
        a_tm1, r_t, discount_t, is_transition = self.ring.steps(first_row, first_row + count)
        return Rollout(values, a_tm1, r_t, gamma * discount_t, is_transition)

    def tensors(self) -> dict[str, Tensor]:
        """Everything beside learner and ring that the next update depends on."""
        tensors = {"random": self.generator.get_state(), "rollouts": self._shape}
        if self._values:
            tensors["values"] = torch.stack([*self._values])
        if self._minibatches:
            tensors["minibatches.sizes"] = torch.tensor([len(row) for row, *_ in self._minibatches])
            for place, parts in enumerate(zip(*self._minibatches, strict=True)):
                tensors[f"minibatches.{place}"] = torch.cat(parts)
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave; minibatches only of rollouts that are cut alike."""
        self.generator.set_state(tensors["random"])
        self._values.clear()
        self._minibatches.clear()
        if "values" in tensors:
            self._values.extend(tensors["values"].to(self.ring.device))
        if "minibatches.sizes" in tensors and torch.equal(tensors["rollouts"], self._shape):
            sizes = tensors["minibatches.sizes"].tolist()
            columns = [
                tensors[name].to(self.ring.device).split_with_sizes(sizes)
                for name in sorted(tensors)
                if name.startswith("minibatches.") and name != "minibatches.sizes"
            ]
            self._minibatches = [*zip(*columns, strict=True)]

    @property
    def _shape(self) -> Tensor:
        rollouts = self.recipe.rollouts
        cuts = [rollouts.decisions, rollouts.epochs, rollouts.minibatches, rollouts.overlap]
        if self.launcher.most_steps > 1:
            # Padded minibatches, with weights, are no minibatches of a processor's run.
            cuts.append(self.launcher.most_steps)
        return torch.tensor(cuts, dtype=torch.int64)
