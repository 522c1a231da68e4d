"""The counters in a checkpoint: how far the run has come."""

from __future__ import annotations

from dataclasses import dataclass

from qcade.types import JSON


@dataclass(frozen=True, kw_only=True)
class Counters:
    """How far a run has come."""

    decisions: int
    """Decisions of all environments."""
    updates: int
    """Gradient updates."""
    episodes: int
    """Episodes that have ended."""
    metric_count: int
    """Updates included in the sums of metrics."""
    next_row: int
    """Number of the next row."""
    opening_row: int
    """Row at which all environments of the replay memory were reset."""
    unfinished: JSON
    """The unfinished episodes, as returned by `EpisodeTracker.state`."""
    sent_actions: tuple[int, ...] | None = None
    """Actions that were sent but not answered, because an environment failed."""
