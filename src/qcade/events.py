"""The events that a training run yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from qcade.types import IntArray


class Seeding(NamedTuple):
    """An environment opened an episode that is determined by a seed alone."""

    row: int
    """Row of the episode's first frame."""
    environment: int
    """Number of the environment, from 0 to E - 1."""
    seed: int
    """The emulator's seed."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A finished game, with all its lives: the event at its end, and its record on disk."""

    episode: int
    """Number of the episode in the run, from 1."""
    environment: int
    """Number of the environment, from 0 to E - 1."""
    first_row: int
    """Row of its first frame; a row is one decision of all environments."""
    length_decisions: int
    """Decisions from its first frame to its last."""
    score: float
    """Sum of raw rewards."""
    frames_crc: int
    """CRC-32 of all its frames as the agent saw them, including the first and last."""
    frames: int
    """Emulator frames of the run at its end."""
    epsilon: float
    """Probability of a random action at its end."""

    @property
    def end_row(self) -> int:
        """The row in which the next episode opens, which shows that this one has ended."""
        return self.first_row + self.length_decisions + 1


@dataclass(frozen=True)
class Started:
    """All environments were reset; the replay memory starts empty."""

    frames: int
    """Emulator frames of the run so far."""
    seedings: tuple[Seeding, ...]
    """How each of the E environments was seeded."""


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """Every environment made one decision, and the updates due were made."""

    frames: int
    """Emulator frames of the run so far."""
    updates: int
    """Gradient updates of the run so far."""
    epsilon: float
    """Probability of a random action now."""
    actions: IntArray
    """int64 [E]: the actions that were sent."""
    seedings: tuple[Seeding, ...]
    """The environments reseeded in this row."""


@dataclass(frozen=True)
class Updated:
    """Means of metrics over the updates since the last such event."""

    frames: int
    """Emulator frames of the run so far."""
    updates: int
    """Gradient updates of the run so far."""
    metrics: dict[str, float]
    """Means of the loss and of the algorithm's own metrics, by name."""


@dataclass(frozen=True)
class CheckpointDue:
    """A checkpoint is due."""

    frames: int
    """Emulator frames of the run so far."""


@dataclass(frozen=True)
class EvaluationDue:
    """An evaluation is due."""

    frames: int
    """Emulator frames of the run so far."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The current agent was evaluated on games outside of training."""

    frames: int
    """Emulator frames of the run so far."""
    episodes: int
    """Games that were played."""
    cut: int
    """How many of them were truncated by the frame limit."""
    mean: float
    """Mean raw score."""
    median: float
    """Median raw score."""


Event: TypeAlias = (
    Started | Episode | Advanced | Updated | EvaluationDue | Evaluated | CheckpointDue
)
