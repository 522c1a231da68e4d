"""Exploration: schedules for the probability of a random action."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qcade.parts import Exploration
from qcade.types import Count, DoubleArray, Positive, PositiveFloat, Probability, Progress


@dataclass(frozen=True)
class LinearEpsilon(Exploration):
    """Epsilon falls linearly from `start` to `end`, then stays there."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.01
    """Final epsilon."""
    decay_decisions: Positive = 250_000
    """Decisions over which epsilon falls to `end`."""
    start_decisions: Count = 0
    """Decisions before epsilon starts to fall."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        since_start = max(0, progress.decisions - self.start_decisions)
        passed = min(1.0, since_start / self.decay_decisions)
        return _everywhere(self.start + passed * (self.end - self.start), environments)


@dataclass(frozen=True)
class LinearEpsilonOfRun(Exploration):
    """Epsilon falls linearly over a fraction of the run, then stays at `end`."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.001
    """Final epsilon."""
    decay_fraction: Probability = 0.1
    """Fraction of the run after which epsilon reaches `end`."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        passed = min(1.0, progress.fraction / max(self.decay_fraction, 1e-12))
        return _everywhere(self.start + passed * (self.end - self.start), environments)


@dataclass(frozen=True)
class ExponentialEpsilon(Exploration):
    """Epsilon is end + (start - end) * exp(-rate * decisions), as in the tutorial."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.01
    """Epsilon in the limit."""
    rate_per_decision: Probability = 3e-5
    """Decay rate; epsilon is halfway after log(2) / rate decisions."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        remaining = math.exp(-self.rate_per_decision * progress.decisions)
        return _everywhere(self.end + (self.start - self.end) * remaining, environments)


@dataclass(frozen=True)
class EpsilonLadder(Exploration):
    """A constant epsilon per environment: base ** (1 + i / (E - 1) * exponent) for number i.

    Default values: Ape-X (Horgan et al. 2018).
    """

    base: Probability = 0.4
    """Epsilon of the first environment, which explores most."""
    exponent: PositiveFloat = 7.0
    """Sets the epsilon of the last environment, base ** (1 + exponent)."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""
        rungs = np.arange(environments) / max(1, environments - 1)
        epsilons: DoubleArray = self.base ** (1 + rungs * self.exponent)
        return epsilons


@dataclass(frozen=True)
class NoRandomActions(Exploration):
    """No random actions: for networks that explore by their noise."""

    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Zeros, float64 [E]."""
        return _everywhere(0.0, environments)


def _everywhere(epsilon: float, environments: int) -> DoubleArray:
    return np.full(environments, epsilon, dtype=np.float64)
