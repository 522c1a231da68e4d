"""Scores of the last games."""

from __future__ import annotations

from collections import deque

from qcade.checks import number_or_none
from qcade.types import JSON

RECENT_EPISODES = 20


class RecentScores:
    """Mean of the last games and the best of all."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT_EPISODES)
        self.best: float | None = None

    @staticmethod
    def from_json(data: JSON) -> RecentScores:
        """Read what `to_json` returned; no scores if the data is anything else."""
        scores = RecentScores()
        recent = data.get("recent") if isinstance(data, dict) else None
        if isinstance(data, dict) and isinstance(recent, list):
            numbers = [number_or_none(score) for score in recent]
            scores._recent.extend(number for number in numbers if number is not None)
            scores.best = number_or_none(data.get("best"))
        return scores

    def to_json(self) -> JSON:
        """Return the last scores and the best one, for a checkpoint."""
        return {"recent": [*self._recent], "best": self.best}

    def add(self, score: float) -> None:
        """Add the score of a whole game."""
        self._recent.append(score)
        self.best = score if self.best is None else max(self.best, score)

    @property
    def mean(self) -> float | None:
        """Mean of the last 20 games, or None before the first."""
        return sum(self._recent) / len(self._recent) if self._recent else None

    @property
    def is_full(self) -> bool:
        """Whether 20 games are in the mean."""
        return len(self._recent) == RECENT_EPISODES
