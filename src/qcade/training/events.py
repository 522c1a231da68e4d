"""What a training run tells whoever iterates over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class EpisodeEnded:
    """A whole game was played, however many lives it had."""

    frames: int
    """Emulator frames of the run so far."""
    episode: int
    """Number of the episode in the run, from 1."""
    environment: int
    """Which of the E environments played it."""
    score: float
    """Sum of raw rewards."""
    length_decisions: int
    """Decisions from the reset to the end."""
    epsilon: float
    """Probability of a random action at its end."""


@dataclass(frozen=True)
class Advanced:
    """Every environment made one decision, and the updates that were due were made."""

    frames: int
    """Emulator frames of the run so far."""
    updates: int
    """Gradient updates of the run so far."""
    epsilon: float
    """Probability of a random action now."""


@dataclass(frozen=True)
class Updated:
    """Means over the updates since the last such event."""

    frames: int
    """Emulator frames of the run so far."""
    updates: int
    """Gradient updates of the run so far."""
    metrics: dict[str, float]
    """Means of the loss and of what the algorithm measures."""


@dataclass(frozen=True)
class CheckpointDue:
    """The recipe wants a checkpoint now."""

    frames: int
    """Emulator frames of the run so far."""


Event: TypeAlias = EpisodeEnded | Advanced | Updated | CheckpointDue
