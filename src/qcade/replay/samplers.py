"""Uniform sampling: every transition in the replay memory is equally likely."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qcade.compute.transfer import send
from qcade.parts import Ring, Sampling
from qcade.types import DrawPlan, Progress, Sample


@dataclass(frozen=True)
class Uniform(Sampling):
    """Sample every transition with equal probability, as in Mnih et al. (2015)."""

    def build(
        self, rows: int, environments: int, device: torch.device, seed: int
    ) -> UniformSampler:
        """Build the sampler; it does not depend on the ring's size."""
        return UniformSampler(seed, device)


class UniformSampler:
    """Draws transitions uniformly and independently, with replacement.

    The host draws: copying a few numbers to a GPU is cheaper than rejection sampling on it.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device or torch.device("cpu")

    def plan(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> DrawPlan:
        """Draw rows and environments, int64 [B] each, on the host.

        Raises RuntimeError if it finds no transition in the ring.
        """
        low, high = ring.startable_rows(n_step)
        count = (high - low) * ring.environments
        drawn = self._draw(count, batch_size)
        for _ in range(1_000):
            row, environment = low + drawn // ring.environments, drawn % ring.environments
            rejected = ~ring.is_start(row, environment)
            rejections = int(rejected.sum())
            if not rejections:
                return row, environment
            drawn[rejected] = self._draw(count, rejections)
        raise RuntimeError("the replay memory holds no transition that can be sampled")

    def draw(self, plan: DrawPlan) -> Sample:
        """Copy what was drawn to the device."""
        row, environment = plan
        assert isinstance(row, Tensor)
        assert isinstance(environment, Tensor)
        return Sample(send(row, self.device), send(environment, self.device))

    def update_priorities(self, sample: Sample, priority: Tensor) -> None:
        """Do nothing: every transition is equally likely."""

    def mutable_tensors(self) -> list[Tensor]:
        """Empty: there are no priorities."""
        return []

    def tensors(self) -> dict[str, Tensor]:
        """The state of the random generator."""
        return {"random": self.generator.get_state()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned, or the random generator of another kind of sampler."""
        self.generator.set_state(tensors["random"])

    def _draw(self, count: int, size: int) -> Tensor:
        return torch.randint(count, (size,), generator=self.generator)
