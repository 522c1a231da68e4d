"""Uniform sampling: every transition in the memory is alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qcade.parts import Ring, Sampling
from qcade.replay.transfer import send
from qcade.types import Drawn, Prepared, Progress


@dataclass(frozen=True)
class Uniform(Sampling):
    """Every transition in the memory is equally likely, as in Mnih et al. (2015)."""

    def build(
        self, rows: int, environments: int, device: torch.device, seed: int
    ) -> UniformSampler:
        """Make the sampler; the size of the ring does not matter to it."""
        return UniformSampler(seed, device)


class UniformSampler:
    """Every transition in the ring is equally likely, independently each time.

    The host draws: copying a few numbers costs a GPU less than refusing some of its own.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device or torch.device("cpu")

    def sample(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> Drawn:
        """Draw B transitions of up to n steps; RuntimeError if the ring seems to hold none."""
        return self.draw(self.prepare(ring, batch_size, n_step, progress))

    def prepare(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> Prepared:
        """Draw rows and environments, int64 [B] each, on the host."""
        low, high = ring.startable_rows(n_step)
        count = (high - low) * ring.environments
        drawn = self._draw(count, batch_size)
        for _ in range(1_000):
            row, environment = low + drawn // ring.environments, drawn % ring.environments
            refused = ~ring.is_start(row, environment)
            refusals = int(refused.sum())
            if not refusals:
                return row, environment
            drawn[refused] = self._draw(count, refusals)
        raise RuntimeError("the replay memory holds no transition that can be sampled")

    def draw(self, prepared: Prepared) -> Drawn:
        """Hand over what was prepared."""
        row, environment = prepared
        return Drawn(send(row, self.device), send(environment, self.device))

    def learned(self, drawn: Drawn, priority: Tensor) -> None:
        """Do nothing: priorities change no odds here."""

    def written(self) -> list[Tensor]:
        """Nothing: learning changes nothing here."""
        return []

    def tensors(self) -> dict[str, Tensor]:
        """Give the state of the random generator."""
        return {"random": self.generator.get_state()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave, or any other sampler's random generator."""
        self.generator.set_state(tensors["random"])

    def _draw(self, count: int, size: int) -> Tensor:
        return torch.randint(count, (size,), generator=self.generator)
