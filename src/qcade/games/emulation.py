"""The settings of Atari emulators and the interface to them."""

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
    """How an emulator plays and what it returns."""

    rom: Path
    """The ROM file."""
    mode: int | None
    """The game's mode; None for its default."""
    difficulty: int | None
    """The game's difficulty; None for its default."""
    frame_skip: int
    """Emulator frames per decision."""
    sticky_actions: float
    """Probability that a frame repeats the previous action instead of the chosen one."""
    noop_max: int
    """Maximum number of random no-op frames at the start of an episode."""
    fire_reset: bool
    """Whether FIRE is pressed at the start of an episode."""
    full_action_set: bool
    """Whether to use all 18 actions, not only those with an effect."""
    max_episode_frames: int
    """Emulator frames after which an episode is truncated."""
    size: tuple[int, int] | None
    """H and W of grey frames, the maximum of the last two; None for the last screen in colour."""


class VectorEmulators(Protocol):
    """E emulators with the interface of ale-py's `ALEVectorInterface`.

    Each opens its next episode by itself, at the first `send` after an episode ends. Observations
    are uint8 [E, 1, H, W] or [E, 1, H, W, 3]; `info["lives"]` is int32 [E].
    """

    def get_action_set(self) -> list[ale_py.Action]:
        """The A actions."""
        ...

    def reset(self, emulators: IntArray, seeds: IntArray) -> tuple[UInt8Array, dict[str, Any]]:
        """Open episodes in some emulators; a seed of -1 continues the current random state."""
        ...

    def send(self, actions: IntArray, strength: FloatArray) -> None:
        """Start one decision in every emulator."""
        ...

    def recv(self) -> Outcomes:
        """Wait for the decisions that `send` started."""
        ...
