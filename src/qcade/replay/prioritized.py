"""Prioritised sampling: transitions with larger errors are drawn more often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qcade.compute.transfer import send
from qcade.parts import Ring, Sampling
from qcade.replay.sum_tree import SumTree
from qcade.types import DrawPlan, PositiveFloat, Probability, Progress, Sample


@dataclass(frozen=True)
class Prioritized(Sampling):
    """Sample in proportion to priorities, as in Schaul et al. (2016)."""

    exponent: Probability = 0.5
    """Alpha: 0 for uniform sampling, 1 for sampling in proportion to the priorities."""
    importance_start: Probability = 0.4
    """Beta at the start: how far importance weights correct the bias; 1 corrects it fully."""
    importance_end: Probability = 1.0
    """Beta at the end of the run; it changes linearly."""
    smallest_priority: PositiveFloat = 1e-6
    """Added to each priority, so that every transition can be drawn."""

    @property
    def bytes_per_transition(self) -> int:
        """8 bytes for the priority; the inner nodes of the tree add about a hundredth."""
        return 8

    def build(
        self, rows: int, environments: int, device: torch.device, seed: int
    ) -> PrioritizedSampler:
        """Build the sampler for a ring of this size."""
        return PrioritizedSampler(self, rows, environments, device, seed)

    def beta(self, progress: Progress) -> float:
        """The importance-weight exponent beta at this point of the run."""
        return self.importance_start + progress.fraction * (
            self.importance_end - self.importance_start
        )


class PrioritizedSampler:
    """A sum tree with one leaf for each place in the ring, kept in step with the ring."""

    def __init__(
        self,
        sampling: Prioritized,
        rows: int,
        environments: int,
        device: torch.device,
        seed: int,
    ) -> None:
        self.sampling, self.rows, self.environments = sampling, rows, environments
        self.ring_device = device
        # Apple's GPUs have no float64.
        self.device = torch.device("cpu") if device.type == "mps" else device
        self.generator = torch.Generator().manual_seed(seed)
        self.maximum = torch.ones((), dtype=torch.float64, device=self.device)
        self.tree = SumTree(rows * environments, self.device)
        self._forget(0)

    def plan(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> DrawPlan:
        """Add leaves for new rows; draw one point in each of B equal parts of [0, 1).

        Returns the points, float64 [B], the oldest row and beta. Raises RuntimeError if the ring
        holds no transition.
        """
        self._catch_up(ring, n_step)
        chance = torch.rand(batch_size, generator=self.generator, dtype=torch.float64)
        stratum = (torch.arange(batch_size) + chance) / batch_size
        return stratum, self._low, self.sampling.beta(progress)

    def draw(self, plan: DrawPlan) -> Sample:
        """Find the transitions at the points that were drawn.

        Importance weights are normalised by the largest one in the batch.
        """
        stratum, low, beta = plan
        assert isinstance(stratum, Tensor)
        slots = self.tree.find(send(stratum, self.device) * self.tree.total)
        weights = self.tree.values(slots)
        importance = (weights.min() / weights) ** beta
        row = low + (slots // self.environments - low) % self.rows
        environment = slots % self.environments
        there = self.ring_device
        return Sample(row.to(there), environment.to(there), importance.float().to(there))

    def update_priorities(self, sample: Sample, priority: Tensor) -> None:
        """Set the priorities of the latest sample, float32 [B].

        If a transition was drawn more than once, its largest priority counts. NaN counts as 0.
        """
        given = priority.to(self.device).double().nan_to_num().abs()
        given = given + self.sampling.smallest_priority
        # In place, since a captured graph reads this very tensor.
        torch.maximum(self.maximum, given.max(), out=self.maximum)
        slots = self._slots(sample.row.to(self.device), sample.environment.to(self.device))
        self.tree.set(slots, given**self.sampling.exponent)

    def mutable_tensors(self) -> list[Tensor]:
        """The tensors that `update_priorities` writes to."""
        return [self.maximum, *self.tree.levels()]

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next draw depends on, other than the ring: 8 bytes per frame."""
        return {
            "random": self.generator.get_state(),
            "maximum": self.maximum,
            "extent": torch.tensor([self.rows, self.environments, self._low, self._high]),
            "leaves": self.tree.leaves(),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned.

        If the ring's length differs, the newest rows that fit keep their priorities. If the number
        of environments or the kind of sampler differs, all transitions get the largest priority.
        """
        self.generator.set_state(tensors["random"].cpu())
        self._forget(0)
        largest = tensors.get("maximum", torch.ones((), dtype=torch.float64))
        self.maximum.copy_(largest)
        if "extent" in tensors:
            rows, environments, low, high = tensors["extent"].tolist()
            if environments == self.environments:
                low = max(low, high - self.rows)
                row, environment = self._row_major(low, high)
                leaves = tensors["leaves"].cpu()[row % rows * environments + environment]
                slots = self._slots(row, environment).to(self.device)
                self.tree.set(slots, leaves.to(self.device))
                self._low, self._high = low, high

    def _catch_up(self, ring: Ring, n_step: int) -> None:
        """Update the tree to the rows at which transitions may start now."""
        low, high = ring.startable_rows(n_step)
        if (low, high) == (self._low, self._high) and low < high:
            return
        if low < self._low or high < self._high:
            self._forget(low)
        gone_row, gone_environment = self._row_major(self._low, min(low, self._high))
        row, environment = self._row_major(max(low, self._high), high)
        starts = ring.is_start(row, environment)
        weight = send(starts, self.device) * self.maximum**self.sampling.exponent
        # A new row may reuse the slot of an old one: the tree keeps the larger weight.
        slots = self._slots(torch.cat((gone_row, row)), torch.cat((gone_environment, environment)))
        zeros = torch.zeros(len(gone_row), dtype=weight.dtype, device=self.device)
        self.tree.set(send(slots, self.device), torch.cat((zeros, weight)))
        # If a new transition was added, the total is not 0. Only otherwise read it from the device,
        # which means waiting for a GPU.
        if not starts.any() and not self.tree.total > 0:
            raise RuntimeError("the replay memory holds no transition that can be sampled")
        self._low, self._high = low, high

    def _forget(self, row: int) -> None:
        """Empty the tree; the next row to add is `row`."""
        self.tree.clear()
        self._low = self._high = row

    def _row_major(self, first: int, until: int) -> tuple[Tensor, Tensor]:
        """Row and environment of each entry in rows [first, until): int64 [n] each, on the host."""
        rows = torch.arange(first, max(first, until))
        environments = torch.arange(self.environments)
        return rows.repeat_interleave(self.environments), environments.repeat(len(rows))

    def _slots(self, row: Tensor, environment: Tensor) -> Tensor:
        return (row % self.rows) * self.environments + environment
