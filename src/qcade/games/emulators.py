"""E Atari emulators behind ale-py's vector interface, as `Environments`."""

from __future__ import annotations

from typing import Any

import ale_py
import numpy as np

from qcade.types import BoolArray, IntArray, TimeStep, UInt8Array

_KEEP_RANDOMNESS = -1


class AtariEnvironments:
    """E emulators behind one vector interface; see `Environments`."""

    def __init__(
        self,
        emulators: ale_py.ALEVectorInterface,
        seeds: IntArray,
        life_loss_terminal: bool,
    ) -> None:
        """Wrap emulators that were not reset yet; `seeds` is int64 [E]."""
        self._emulators: ale_py.ALEVectorInterface | None = emulators
        self._seeds = seeds
        self._life_loss_terminal = life_loss_terminal
        self._action_meanings = tuple(action.name for action in emulators.get_action_set())
        self._strength = np.ones(len(seeds), np.float32)
        self._lives: Any = np.zeros(len(seeds), np.int32)
        self._ended: BoolArray = np.zeros(len(seeds), np.bool_)

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """The emulator's name of each of the A actions."""
        return self._action_meanings

    def reset(self) -> TimeStep:
        """Open one episode everywhere: the first time from the seeds, later going on from there."""
        observation, info = self._opened().reset(np.arange(len(self._seeds)), self._seeds)
        self._seeds = np.full_like(self._seeds, _KEEP_RANDOMNESS)
        self._lives = info["lives"]
        self._ended = np.zeros(len(self._seeds), np.bool_)
        return TimeStep(
            frame=observation[:, 0],
            reward=np.zeros(len(self._seeds), np.float32),
            discount=np.ones(len(self._seeds), np.float32),
            first=np.ones(len(self._seeds), np.bool_),
        )

    def send(self, actions: IntArray) -> None:
        """Start one decision everywhere; int64 [E]; an unknown action is a `ValueError`."""
        # The emulator would throw in a thread of its own, and recv would wait for ever.
        if actions.min() < 0 or actions.max() >= len(self._action_meanings):
            raise ValueError(f"actions must be 0..{len(self._action_meanings) - 1}: {actions}")
        self._opened().send(actions, self._strength)

    def recv(self) -> TimeStep:
        """Wait for the decisions that `send` started; other Python threads go on meanwhile."""
        observation, points, terminated, truncated, info = self._opened().recv()
        first = self._ended
        stopped = terminated
        if self._life_loss_terminal:
            stopped = terminated | (info["lives"] < self._lives)
        self._lives = info["lives"]
        self._ended = terminated | truncated
        return TimeStep(
            frame=observation[:, 0],
            reward=np.where(first, 0, points).astype(np.float32),
            discount=(first | ~stopped).astype(np.float32),
            first=first,
        )

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Reload the ROM in some emulators, about 0.1 s each: [n] and [n] -> uint8 [n, H, W]."""
        observation, info = self._opened().reset(environments, seeds)
        # What is reported of the others may be older than what `recv` said of them.
        self._lives = self._lives.copy()
        self._lives[environments] = info["lives"][environments]
        self._ended[environments] = False
        frames: UInt8Array = observation[environments, 0]
        return frames

    def close(self) -> None:
        """Free the emulators; closing twice is harmless."""
        self._emulators = None

    def _opened(self) -> ale_py.ALEVectorInterface:
        if self._emulators is None:
            raise ValueError("these environments were closed")
        return self._emulators
