"""Scores and lengths of the episodes that E environments are playing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qcade.types import JSON, TimeStep


class Episode(NamedTuple):
    """An episode that has ended."""

    environment: int
    score: float
    length_decisions: int


class EpisodeTracker:
    """Adds up raw rewards between the frames that open episodes."""

    def __init__(self, environments: int) -> None:
        self._scores = np.zeros(environments)
        self._lengths = np.zeros(environments, dtype=np.int64)

    def track(self, step: TimeStep) -> list[Episode]:
        """Take one row in; return the episodes whose successor it opens."""
        ended = [
            Episode(int(i), float(self._scores[i]), int(self._lengths[i]))
            for i in np.flatnonzero(step.first)
            if self._lengths[i]
        ]
        self._scores = np.where(step.first, 0.0, self._scores + step.reward)
        self._lengths = np.where(step.first, 0, self._lengths + 1)
        return ended

    def state(self) -> dict[str, JSON]:
        """Unfinished episodes as JSON."""
        return {"scores": [*self._scores.tolist()], "lengths": [*self._lengths.tolist()]}

    def restore(self, state: dict[str, list[float]]) -> None:
        """Take back what `state` gave."""
        self._scores = np.array(state["scores"], dtype=np.float64)
        self._lengths = np.array(state["lengths"], dtype=np.int64)
