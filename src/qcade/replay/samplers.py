"""Which transitions an update sees."""

from __future__ import annotations

import torch
from torch import Tensor

from qcade.replay.frames import FrameRing


class UniformSampler:
    """Every transition in the ring is equally likely, independently each time."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def sample(self, ring: FrameRing, batch_size: int, n_step: int) -> tuple[Tensor, Tensor]:
        """Draw rows and environments where transitions start: int64 [B] and [B]."""
        low, high = ring.startable_rows(n_step)
        count = (high - low) * ring.environments
        drawn = self._draw(count, batch_size, ring.device)
        for _ in range(1_000):
            row, environment = low + drawn // ring.environments, drawn % ring.environments
            refused = ~ring.is_start(row, environment)
            refusals = int(refused.sum())
            if not refusals:
                return row, environment
            drawn[refused] = self._draw(count, refusals, ring.device)
        raise RuntimeError("the replay memory holds no transition that can be sampled")

    def _draw(self, count: int, size: int, device: torch.device) -> Tensor:
        return torch.randint(count, (size,), generator=self.generator).to(device)
