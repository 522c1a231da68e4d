"""Prioritised sampling: transitions that surprised the network are drawn more often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qcade.parts import Ring, Sampling
from qcade.replay.sum_tree import SumTree
from qcade.replay.transfer import send
from qcade.types import Drawn, PositiveFloat, Prepared, Probability, Progress


@dataclass(frozen=True)
class Prioritized(Sampling):
    """Draw in proportion to priorities, as in Schaul et al. (2016)."""

    exponent: Probability = 0.5
    """Alpha: 0 draws uniformly, 1 in proportion to the priorities themselves."""
    importance_start: Probability = 0.4
    """Beta at the start of the run: how far importance weights undo the bias, 1 wholly."""
    importance_end: Probability = 1.0
    """Beta at the end of the run, reached linearly."""
    smallest_priority: PositiveFloat = 1e-6
    """Added to each priority, so that nothing is left out for ever."""

    @property
    def bytes_per_transition(self) -> int:
        """A priority of 8 bytes; the tree above them is a hundredth of that."""
        return 8

    def build(
        self, rows: int, environments: int, device: torch.device, seed: int
    ) -> PrioritizedSampler:
        """Make the sampler of a ring of so many rows."""
        return PrioritizedSampler(self, rows, environments, device, seed)

    def beta(self, progress: Progress) -> float:
        """How far importance weights undo the bias at some point of the run."""
        return self.importance_start + progress.fraction * (
            self.importance_end - self.importance_start
        )


class PrioritizedSampler:
    """A sum tree with one leaf for each place in the ring, and what it knows of the ring."""

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

    def sample(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> Drawn:
        """Draw one transition from each of B equal parts of the sum of all priorities.

        Importance weights are relative to the largest of the batch. RuntimeError if the ring holds
        no transition.
        """
        return self.draw(self.prepare(ring, batch_size, n_step, progress))

    def prepare(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> Prepared:
        """Take in the rows that are new, and draw a place in each part of the sum, on the host.

        The places are float64 [B] in [0, 1); with them go the oldest row and beta.
        """
        self._catch_up(ring, n_step)
        chance = torch.rand(batch_size, generator=self.generator, dtype=torch.float64)
        stratum = (torch.arange(batch_size) + chance) / batch_size
        return stratum, self._low, self.sampling.beta(progress)

    def draw(self, prepared: Prepared) -> Drawn:
        """Find the transitions at the places that were prepared."""
        stratum, low, beta = prepared
        slots = self.tree.find(send(stratum, self.device) * self.tree.total)
        weights = self.tree.values(slots)
        importance = (weights.min() / weights) ** beta
        row = low + (slots // self.environments - low) % self.rows
        environment = slots % self.environments
        there = self.ring_device
        return Drawn(row.to(there), environment.to(there), importance.float().to(there))

    def learned(self, drawn: Drawn, priority: Tensor) -> None:
        """Take in the priorities of the latest draw, float32 [B].

        Of a transition that was drawn more than once, the largest counts. NaN counts as 0.
        """
        given = priority.to(self.device).double().nan_to_num().abs()
        given = given + self.sampling.smallest_priority
        # In place, since a captured graph looks for it where it was.
        torch.maximum(self.maximum, given.max(), out=self.maximum)
        slots = self._slots(drawn.row.to(self.device), drawn.environment.to(self.device))
        self.tree.set(slots, given**self.sampling.exponent)

    def written(self) -> list[Tensor]:
        """The tensors that `learned` writes into."""
        return [self.maximum, *self.tree.levels()]

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next draw depends on, beside the ring: 8 bytes a frame."""
        return {
            "random": self.generator.get_state(),
            "maximum": self.maximum,
            "extent": torch.tensor([self.rows, self.environments, self._low, self._high]),
            "leaves": self.tree.leaves(),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave.

        From a memory of another length, the newest rows that fit keep their priorities. From one of
        other environments, or another kind of sampler, all transitions get the largest priority.
        """
        self.generator.set_state(tensors["random"].cpu())
        self._forget(0)
        largest = tensors.get("maximum", torch.ones((), dtype=torch.float64))
        self.maximum.copy_(largest)
        if "extent" in tensors:
            rows, environments, low, high = tensors["extent"].tolist()
            if environments == self.environments:
                low = max(low, high - self.rows)
                row, environment = self._places(low, high)
                leaves = tensors["leaves"].cpu()[row % rows * environments + environment]
                slots = self._slots(row, environment).to(self.device)
                self.tree.set(slots, leaves.to(self.device))
                self._low, self._high = low, high

    def _catch_up(self, ring: Ring, n_step: int) -> None:
        """Bring the tree up to date with the rows at which transitions may start."""
        low, high = ring.startable_rows(n_step)
        if (low, high) == (self._low, self._high) and low < high:
            return
        if low < self._low or high < self._high:
            self._forget(low)
        gone_row, gone_environment = self._places(self._low, min(low, self._high))
        row, environment = self._places(max(low, self._high), high)
        starts = ring.is_start(row, environment)
        weight = send(starts, self.device) * self.maximum**self.sampling.exponent
        # A new row may take a place that has just become free: the tree keeps the larger weight.
        slots = self._slots(torch.cat((gone_row, row)), torch.cat((gone_environment, environment)))
        none = torch.zeros(len(gone_row), dtype=weight.dtype, device=self.device)
        self.tree.set(send(slots, self.device), torch.cat((none, weight)))
        # The host knows that new rows count for something; only without any is the sum looked at,
        # which a GPU would have to be waited for.
        if not starts.any() and not self.tree.total > 0:
            raise RuntimeError("the replay memory holds no transition that can be sampled")
        self._low, self._high = low, high

    def _forget(self, row: int) -> None:
        """Start with an empty tree: nothing below this row is known."""
        self.tree.clear()
        self._low = self._high = row

    def _places(self, first: int, until: int) -> tuple[Tensor, Tensor]:
        """Number the rows and environments of rows [first, until): int64 [n] each, on the host."""
        rows = torch.arange(first, max(first, until))
        environments = torch.arange(self.environments)
        return rows.repeat_interleave(self.environments), environments.repeat(len(rows))

    def _slots(self, row: Tensor, environment: Tensor) -> Tensor:
        return (row % self.rows) * self.environments + environment
