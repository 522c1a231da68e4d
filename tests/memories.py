"""Memories whose starts a plain list knows, and samplers of them, for all tests of priorities."""

from __future__ import annotations

import numpy as np
import torch

from qcade.parts import Sampler
from qcade.replay.frames import FrameRing
from qcade.replay.prioritized import Prioritized, PrioritizedSampler
from qcade.types import Progress, Sample, TimeStep

CPU = torch.device("cpu")
START, MIDDLE, END = Progress(0, 100), Progress(50, 100), Progress(100, 100)
# So small that priorities are what the tests say.
PLAIN = Prioritized(smallest_priority=1e-12)


class Memory:
    """A ring, everything that was ever put into it, and which starts a plain list says it has."""

    def __init__(self, rows: int, environments: int, stack: int = 2) -> None:
        self.rows, self.environments, self.stack = rows, environments, stack
        self.firsts: list[list[bool]] = []
        self.opening_row = 0
        self.ring = FrameRing(rows, environments, 1, 1, stack)

    def append(self, first: list[bool]) -> None:
        if len(self.firsts) == self.opening_row:
            first = [True] * self.environments
        self.firsts.append(first)
        self._put(first)

    def open_empty(self) -> None:
        """Lose what is remembered, as a resume without a tape does."""
        self.opening_row = len(self.firsts)
        self.ring.start_at(self.opening_row, self.opening_row)

    def refill(self) -> None:
        """Put the same rows into a ring made anew, as a resume from a tape does."""
        oldest = max(self.opening_row, len(self.firsts) - self.rows)
        self.ring = FrameRing(self.rows, self.environments, 1, 1, self.stack)
        self.ring.start_at(oldest, self.opening_row)
        for first in self.firsts[oldest:]:
            self._put(first)

    def starts(self, n_step: int) -> list[tuple[int, int]]:
        """All rows and environments at which a transition starts, in order."""
        oldest = self.opening_row
        if len(self.firsts) - self.rows > oldest:
            oldest = len(self.firsts) - self.rows + self.stack - 1
        return [
            (row, environment)
            for row in range(oldest, len(self.firsts) - n_step)
            for environment in range(self.environments)
            if not self.firsts[row + 1][environment]
        ]

    def _put(self, first: list[bool]) -> None:
        nothing = np.zeros(self.environments, np.float32)
        frame = np.zeros((self.environments, 1, 1), np.uint8)
        step = TimeStep(frame, nothing, nothing, np.array(first))
        self.ring.append(step, np.zeros(self.environments, np.int64))


def memory_of(rows: int, appended: int) -> Memory:
    """Three environments with episodes of different lengths, and resets that follow resets."""
    memory = Memory(rows, 3)
    for row in range(appended):
        memory.append([row % 4 == 0, row % 7 == 0, 5 <= row < 8])
    return memory


def one_episode(transitions: int) -> Memory:
    """One environment, in which transitions start at rows 0, 1, 2 and so on."""
    memory = Memory(transitions + 1, 1)
    for _ in range(transitions + 1):
        memory.append([False])
    return memory


def sampler_of(memory: Memory, sampling: Prioritized = PLAIN, seed: int = 1) -> PrioritizedSampler:
    return sampling.build(memory.rows, memory.environments, CPU, seed)


def sampled(
    sampler: Sampler, ring: FrameRing, batch_size: int, n_step: int, progress: Progress
) -> Sample:
    """Plan a draw and make it."""
    return sampler.draw(sampler.plan(ring, batch_size, n_step, progress))


def pairs(drawn: Sample) -> list[tuple[int, int]]:
    return list(zip(drawn.row.tolist(), drawn.environment.tolist(), strict=True))


def drawn_at(places: list[tuple[int, int]]) -> Sample:
    row, environment = zip(*places, strict=True)
    return Sample(torch.tensor(row), torch.tensor(environment))


def teach(sampler: PrioritizedSampler, memory: Memory, priorities: list[float]) -> None:
    """Give these priorities to all transitions, in their order."""
    sampled(sampler, memory.ring, 1, 1, START)
    sampler.update_priorities(drawn_at(memory.starts(1)), torch.tensor(priorities))


def weights_in(sampler: PrioritizedSampler) -> torch.Tensor:
    """Weights by place: float64 [rows, E]."""
    return sampler.tensors()["leaves"].view(sampler.rows, sampler.environments)
