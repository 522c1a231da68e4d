"""What a training run tells whoever iterates over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from qcade.types import IntArray


@dataclass(frozen=True)
class EpisodeEnded:
    """A whole game was played, however many lives it had."""

    frames: int
    """Emulator frames of the run so far."""
    episode: int
    """Number of the episode in the run, from 1."""
    environment: int
    """Which of the E environments played it."""
    first_row: int
    """Row of its first frame: one row a decision of all environments."""
    score: float
    """Sum of raw rewards."""
    length_decisions: int
    """Decisions from the reset to the end."""
    frames_crc: int
    """CRC-32 of all its frames as the agent saw them."""
    epsilon: float
    """Probability of a random action at its end."""


class Seeding(NamedTuple):
    """An environment opened an episode that follows from a seed alone."""

    row: int
    """Row of the episode's first frame."""
    environment: int
    """Which of the E environments."""
    seed: int
    """The emulator's seed."""


@dataclass(frozen=True)
class Started:
    """The environments were opened with an empty memory."""

    frames: int
    """Emulator frames of the run so far."""
    seedings: tuple[Seeding, ...]
    """How each of the E environments was seeded."""


@dataclass(frozen=True)
class Advanced:
    """Every environment made one decision, and the updates that were due were made."""

    frames: int
    """Emulator frames of the run so far."""
    updates: int
    """Gradient updates of the run so far."""
    epsilon: float
    """Probability of a random action now."""
    actions: IntArray
    """int64 [E]: what was sent."""
    seedings: tuple[Seeding, ...]
    """Environments that were seeded anew with this row."""


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


@dataclass(frozen=True)
class EvaluationDue:
    """The recipe wants an evaluation now."""

    frames: int
    """Emulator frames of the run so far."""


@dataclass(frozen=True)
class Evaluated:
    """The agent of this instant played games apart from its training."""

    frames: int
    """Emulator frames of the run so far."""
    episodes: int
    """Games that were played."""
    cut: int
    """Games among them that were cut by the frame cap."""
    mean: float
    """Mean raw score."""
    median: float
    """Median raw score."""


Event: TypeAlias = (
    Started | EpisodeEnded | Advanced | Updated | EvaluationDue | Evaluated | CheckpointDue
)
