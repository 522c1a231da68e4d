"""What Atari emulators are told, and how they are spoken to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import ale_py
import numpy as np
from numpy.typing import NDArray

from qcade.types import BoolArray, FloatArray, IntArray, UInt8Array

Outcomes: TypeAlias = "tuple[UInt8Array, NDArray[np.int32], BoolArray, BoolArray, dict[str, Any]]"
"""Observations, rewards, terminated, truncated and info of E emulators."""


@dataclass(frozen=True, kw_only=True)
class EmulatorSettings:
    """How an emulator plays and what it shows."""

    rom: Path
    """The ROM file."""
    mode: int | None
    """The game's mode; None for its default."""
    difficulty: int | None
    """The game's difficulty; None for its default."""
    frame_skip: int
    """Emulator frames of a decision."""
    sticky_actions: float
    """Probability, at each emulator frame, that the previous action is repeated."""
    noop_max: int
    """Most emulator frames that an episode may open with without any action."""
    fire_reset: bool
    """Whether FIRE is pressed when an episode opens."""
    full_action_set: bool
    """Whether actions number all 18, not only those that matter."""
    max_episode_frames: int
    """Emulator frames after which an episode is cut off."""
    size: tuple[int, int] | None
    """H and W of grey frames, each the maximum of the last two; None: the last whole, in colour."""


class VectorEmulators(Protocol):
    """E emulators, spoken to as ale-py's vector interface is.

    Each opens its next episode by itself, one `send` after an end. Observations are uint8
    [E, 1, H, W] or [E, 1, H, W, 3]; `info["lives"]` is int32 [E].
    """

    def get_action_set(self) -> list[ale_py.Action]:
        """The A actions."""
        ...

    def reset(self, emulators: IntArray, seeds: IntArray) -> tuple[UInt8Array, dict[str, Any]]:
        """Open episodes in some emulators; a seed of -1 keeps an emulator's own randomness."""
        ...

    def send(self, actions: IntArray, strength: FloatArray) -> None:
        """Start one decision everywhere."""
        ...

    def recv(self) -> Outcomes:
        """Wait for the decisions that `send` started."""
        ...
