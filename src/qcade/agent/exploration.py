"""Exploration: schedules for the probability of a random action."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcade.parts import Exploration
from qcade.types import Count, DoubleArray, Positive, PositiveFloat, Probability, Progress


@dataclass(frozen=True)
class LinearEpsilon(Exploration):
    """A straight line from start to end, then constant."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.01
    """Epsilon from the end of the line on."""
    decay_decisions: Positive = 250_000
    """Decisions that the line lasts."""
    start_decisions: Count = 0
    """Decisions before the line begins."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        since = max(0, progress.decisions - self.start_decisions)
        passed = min(1.0, since / self.decay_decisions)
        return _everywhere(self.start + passed * (self.end - self.start), environments)


@dataclass(frozen=True)
class LinearEpsilonOfRun(Exploration):
    """A straight line that lasts a part of the run, however long that is."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.001
    """Epsilon from the end of the line on."""
    decay_fraction: Probability = 0.1
    """Part of the run that the line lasts."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        passed = min(1.0, progress.fraction / max(self.decay_fraction, 1e-12))
        return _everywhere(self.start + passed * (self.end - self.start), environments)


@dataclass(frozen=True)
class ExponentialEpsilon(Exploration):
    """end + (start - end) * exp(-rate * decisions), as in the tutorial."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.01
    """Epsilon in the limit."""
    rate_per_decision: Probability = 3e-5
    """How fast it falls; half of the way takes log(2) / rate decisions."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        left = math.exp(-self.rate_per_decision * progress.decisions)
        return _everywhere(self.end + (self.start - self.end) * left, environments)


@dataclass(frozen=True)
class EpsilonLadder(Exploration):
    """A constant epsilon of its own for each environment: base ** (1 + i / (E - 1) * exponent).

    Figures: Ape-X (Horgan et al. 2018).
    """

    base: Probability = 0.4
    """Epsilon of the first environment, the one that explores most."""
    exponent: PositiveFloat = 7.0
    """How much less the last one explores: its epsilon is base ** (1 + exponent)."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        rungs = np.arange(environments) / max(1, environments - 1)
        epsilons: DoubleArray = self.base ** (1 + rungs * self.exponent)
        return epsilons


@dataclass(frozen=True)
class NoRandomActions(Exploration):
    """Never: for networks whose noise explores."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Zeros, float64 [E]."""
        return _everywhere(0.0, environments)


def _everywhere(epsilon: float, environments: int) -> DoubleArray:
    return np.full(environments, epsilon, dtype=np.float64)
