"""Batches from rollouts: every environment plays T decisions, then the learner uses them.

The rollout is stored in the frame ring like any other experience. Its returns are computed once,
from the Q-values with which it was played, and are the targets of shuffled minibatches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from qcade.compute.runners import Plan
from qcade.compute.transfer import send
from qcade.recipe import OnPolicyRecipe
from qcade.replay.frames import FrameRing
from qcade.training.sources import Clock
from qcade.types import Minibatch, Rollout, Sample

NO_N_STEP = 0
"""Returns are already computed, so all plans have the same n."""


class Decisions(NamedTuple):
    """All decisions of a rollout that led to a transition, and the returns."""

    row: Tensor
    """int64 [n], on the host."""
    environment: Tensor
    """int64 [n], on the host."""
    returns: Tensor
    """float32 [T, E], on the device."""
    first_row: int
    """The first row of `returns`."""


class RolloutSource:
    """Plans and gathers the minibatches of an OnPolicyRecipe."""

    def __init__(
        self, recipe: OnPolicyRecipe, ring: FrameRing, seed: int, max_updates_per_graph: int = 1
    ) -> None:
        """Read rollouts from a ring; up to `max_updates_per_graph` updates are planned at once.

        If it is more than 1, all minibatches have the same size.
        """
        self.recipe, self.ring, self.max_updates_per_graph = recipe, ring, max_updates_per_graph
        self.generator = torch.Generator().manual_seed(seed)
        self._values: deque[Tensor] = deque(maxlen=recipe.rollouts.decisions + 1)
        """Q-values of the newest rows' observations, as the actor saw them: [E, A] each."""
        self._minibatches: list[Plan] = []
        """Remaining minibatches of the current rollout, the next one last."""

    needs_q_values = True
    """Returns are computed from the actor's Q-values."""

    def due(self, clock: Clock, q_values: Tensor | None) -> Iterator[list[Plan]]:
        """Plan the updates due with the current decisions: a rollout's, a share, or none."""
        assert q_values is not None, "the actor values every observation of a rollout"
        decided_rows = self.ring.appended_rows - self.ring.opening_row - 1
        self._record_q_values(q_values, decided_rows)
        rollouts = self.recipe.rollouts
        updates = rollouts.epochs * rollouts.minibatches
        shares = rollouts.decisions if rollouts.overlap else 1
        row = decided_rows % rollouts.decisions
        # Rounded up, so that a rollout's first share of updates is due once it is complete.
        done, wanted = (-(-updates * min(rows, shares) // shares) for rows in (row, row + 1))
        left = min(wanted - done, len(self._minibatches)) if row else wanted
        if not row:
            # A fork with longer rollouts than its parent lacks Q-values for the first one.
            if len(self._values) <= rollouts.decisions:
                return
            self._minibatches.clear()
        while left:
            plans = self.next_plans(clock, left)
            left -= len(plans)
            yield plans

    def next_plans(self, clock: Clock, most: int) -> list[Plan]:
        """Return up to `most` next minibatches; if none are left, start with the newest rollout."""
        if not self._minibatches:
            self._minibatches = self._shuffled()
        count = min(most, self.max_updates_per_graph, len(self._minibatches))
        # A power of 2, so that few sizes occur.
        count = 1 << (count.bit_length() - 1)
        return [self._minibatches.pop() for _ in range(count)]

    def _record_q_values(self, q_values: Tensor, decided_rows: int) -> None:
        if decided_rows == 0:
            # The ring was emptied: Q-values and minibatches of older rows are useless.
            self._values.clear()
            self._minibatches.clear()
        self._values.append(q_values)

    def gather(self, plan: Plan) -> tuple[Minibatch, Sample]:
        """Gather the minibatch of a plan: row, environment, returns and, if padded, weights."""
        row, environment, returns, *weights = map(_tensor, plan.inputs)
        observation = self.ring.observations(row, environment)
        action = self.ring.action_at(row + 1, environment)
        return Minibatch(observation, action, returns), Sample(
            row, environment, weights[0] if weights else None
        )

    def update_priorities(self, sample: Sample, priority: Tensor) -> None:
        """Do nothing: rollouts have no priorities."""

    def weights_were_reset(self, updates: int) -> None:
        """Do nothing: recipes with rollouts have no resets."""

    def mutable_tensors(self) -> list[Tensor]:
        """Empty: `gather` writes to no tensors."""
        return []

    def _shuffled(self) -> list[Plan]:
        rollouts, ring = self.recipe.rollouts, self.ring
        first_row = ring.appended_rows - 1 - rollouts.decisions
        returns = self.recipe.algorithm.compute_returns(self.rollout(first_row))
        # On the host, which knows where transitions start; asking a GPU means waiting.
        row = torch.arange(first_row, first_row + rollouts.decisions)
        row = row.repeat_interleave(ring.environments)
        environment = torch.arange(ring.environments).repeat(rollouts.decisions)
        starts = ring.is_start(row, environment)
        decisions = Decisions(row[starts], environment[starts], returns, first_row)
        parts = [
            part
            for _ in range(rollouts.epochs)
            for part in torch.randperm(len(decisions.row), generator=self.generator).tensor_split(
                rollouts.minibatches
            )
        ]
        if self.max_updates_per_graph == 1:
            return as_cut(parts, decisions)[::-1]
        size = -(-rollouts.decisions * ring.environments // rollouts.minibatches)
        return padded(parts, decisions, size)[::-1]

    def rollout(self, first_row: int) -> Rollout:
        """Read the rollout that starts at a row, with the Q-values of all its observations."""
        count, gamma = self.recipe.rollouts.decisions, self.recipe.rollouts.gamma
        values = torch.stack([*self._values])
        a_tm1, r_t, discount_t, is_transition = self.ring.steps(first_row, first_row + count)
        return Rollout(values, a_tm1, r_t, gamma * discount_t, is_transition)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next update depends on, other than learner and ring."""
        tensors = {"random": self.generator.get_state(), "rollouts": self._shape}
        if self._values:
            tensors["values"] = torch.stack([*self._values])
        if self._minibatches:
            columns = [
                torch.cat([_tensor(value) for value in column])
                for column in zip(*(plan.inputs for plan in self._minibatches), strict=True)
            ]
            sizes = [len(_tensor(plan.inputs[0])) for plan in self._minibatches]
            tensors["minibatches.sizes"] = torch.tensor(sizes)
            for place, column in enumerate(columns):
                tensors[f"minibatches.{place}"] = column
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned; minibatches only if the rollout settings are equal."""
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
            self._minibatches = [Plan(NO_N_STEP, inputs) for inputs in zip(*columns, strict=True)]

    @property
    def _shape(self) -> Tensor:
        rollouts = self.recipe.rollouts
        cuts = [rollouts.decisions, rollouts.epochs, rollouts.minibatches, rollouts.overlap]
        if self.max_updates_per_graph > 1:
            # Padded minibatches, which have weights, do not fit a run without graphs.
            cuts.append(self.max_updates_per_graph)
        return torch.tensor(cuts, dtype=torch.int64)


def as_cut(parts: Sequence[Tensor], decisions: Decisions) -> list[Plan]:
    """Make one minibatch from each part, int64 [B], which holds indices into `decisions`.

    Sizes of parts may differ by one, since the number of transitions varies.
    """
    row, environment, returns, first_row = decisions
    plans = []
    for part in parts:
        rows, environments = (send(place[part], returns.device) for place in (row, environment))
        plans.append(Plan(NO_N_STEP, (rows, environments, returns[rows - first_row, environments])))
    return plans


def padded(parts: Sequence[Tensor], decisions: Decisions, size: int) -> list[Plan]:
    """Make minibatches of the same size, as captured graphs need, with weights.

    Smaller parts are padded with a decision of weight 0; the weights of the others are scaled up so
    that the mean over all B is the mean over them. Unweighted metrics include the padding.
    """
    row, environment, returns, first_row = decisions
    numbers = torch.stack([functional.pad(part, (0, size - len(part))) for part in parts])
    place = torch.arange(size)
    weights = torch.stack([(place < len(part)) * (size / len(part)) for part in parts])
    device = returns.device
    rows, environments = send(row[numbers], device), send(environment[numbers], device)
    padded_returns = returns[rows - first_row, environments]
    inputs = zip(rows, environments, padded_returns, send(weights, device), strict=True)
    return [Plan(NO_N_STEP, each) for each in inputs]


def _tensor(value: Tensor | float) -> Tensor:
    assert isinstance(value, Tensor)
    return value
