"""Frames of noise in place of a game: the cost of learning does not depend on the game."""

from __future__ import annotations

import numpy as np

from qcade.types import IntArray, TimeStep, UInt8Array

EPISODE_ROWS = 200


class NoiseEnvironments:
    """E environments that show noise and ignore actions; see `Environments`."""

    def __init__(self, environments: int, height: int, width: int, actions: int) -> None:
        self._shape, self._actions = (environments, height, width), actions
        self._randomness = np.random.default_rng(0)
        self._row = 0

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """The actions' numbers."""
        return tuple(str(action) for action in range(self._actions))

    def reset(self) -> TimeStep:
        """Open an episode in every environment."""
        self._row = 0
        return self.recv()

    def send(self, actions: IntArray) -> None:
        """Ignore the actions."""

    def recv(self) -> TimeStep:
        """Draw a row; all environments open a new episode every EPISODE_ROWS rows."""
        count, is_first = self._shape[0], self._row % EPISODE_ROWS == 0
        self._row += 1
        return TimeStep(
            frame=self._randomness.integers(256, size=self._shape, dtype=np.uint8),
            reward=self._randomness.integers(2, size=count).astype(np.float32),
            discount=np.ones(count, np.float32),
            first=np.full(count, is_first),
        )

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Return new noise: uint8 [n, H, W]."""
        shape = (len(environments), *self._shape[1:])
        return self._randomness.integers(256, size=shape, dtype=np.uint8)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
