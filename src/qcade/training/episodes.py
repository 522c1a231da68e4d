"""Scores, lengths and fingerprints of the episodes that E environments are playing."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from qcade.types import JSON, TimeStep


class Episode(NamedTuple):
    """An episode that has ended."""

    environment: int
    """Which of the E environments played it."""
    first_row: int
    """Row of its first frame."""
    score: float
    """Sum of raw rewards."""
    length_decisions: int
    """Decisions from its first frame to its last."""
    frames_crc: int
    """CRC-32 of all its frames as the agent saw them, first and last included."""


class EpisodeTracker:
    """Adds up raw rewards and frames between the rows that open episodes."""

    def __init__(self, environments: int, first_row: int = 0) -> None:
        self.row = first_row - 1
        self._first_rows = np.full(environments, first_row, dtype=np.int64)
        self._scores = np.zeros(environments)
        self._crcs = [0] * environments

    def track(self, step: TimeStep) -> list[Episode]:
        """Take one row in; return the episodes whose successor it opens."""
        self.row += 1
        ended = []
        for i in np.flatnonzero(step.first):
            length = self.row - 1 - int(self._first_rows[i])
            if length > 0:
                first_row, score = int(self._first_rows[i]), float(self._scores[i])
                ended.append(Episode(int(i), first_row, score, length, self._crcs[i]))
            self._first_rows[i] = self.row
            self._crcs[i] = 0
        self._scores = np.where(step.first, 0.0, self._scores + step.reward)
        for environment, frame in enumerate(step.frame):
            crc = self._crcs[environment]
            self._crcs[environment] = zlib.crc32(np.ascontiguousarray(frame).data, crc)
        return ended

    def state(self) -> dict[str, JSON]:
        """Unfinished episodes as JSON: equal states mean that equal games are under way."""
        return {
            "row": self.row,
            "first_rows": [*self._first_rows.tolist()],
            "scores": [*self._scores.tolist()],
            "crcs": [*self._crcs],
        }
