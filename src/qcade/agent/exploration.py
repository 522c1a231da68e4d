"""Schedules of epsilon, the probability of a random action."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qcade.types import Exploration, Positive, Probability


@dataclass(frozen=True)
class LinearEpsilon(Exploration):
    """A straight line from start to end, then constant."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.01
    """Epsilon from the end of the line on."""
    decay_decisions: Positive = 250_000
    """Decisions that the line lasts."""

    def epsilon(self, decisions: int) -> float:
        """Probability of a random action after that many decisions of the whole run."""
        progress = min(1.0, decisions / self.decay_decisions)
        return self.start + progress * (self.end - self.start)


@dataclass(frozen=True)
class ExponentialEpsilon(Exploration):
    """end + (start - end) * exp(-rate * decisions), as in the tutorial."""

    start: Probability = 1.0
    """Epsilon at the first decision."""
    end: Probability = 0.01
    """Epsilon in the limit."""
    rate_per_decision: Probability = 3e-5
    """How fast it falls; half of the way takes log(2) / rate decisions."""

    def epsilon(self, decisions: int) -> float:
        """Probability of a random action after that many decisions of the whole run."""
        return self.end + (self.start - self.end) * math.exp(-self.rate_per_decision * decisions)
