"""Stepping a list of Gymnasium environments in one background thread."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from qcade.games.frames import Preprocess
from qcade.types import IntArray, TimeStep, UInt8Array


class Conduct(NamedTuple):
    """How episodes end and how their ends look."""

    max_episode_decisions: int | None = None
    """Decisions after which an episode is cut off; None leaves that to the environment."""
    life_loss_terminal: bool = False
    """Whether a fall of `info["lives"]` has discount 0, without ending the episode."""
    blank_terminal_frame: bool = False
    """Whether the frame on which a game ends (not one that is cut off) is all zeros."""


class GymnasiumEnvironments:
    """E Gymnasium environments that step in the background; see `Environments`."""

    def __init__(
        self,
        environments: Sequence[gymnasium.Env[Any, Any]],
        preprocess: Preprocess,
        frame_shape: tuple[int, int],
        seeds: IntArray,
        conduct: Conduct,
    ) -> None:
        """Wrap environments that were not reset yet; they are closed by `close`."""
        self._environments = list(environments)
        self._preprocess = preprocess
        self._frame_shape = frame_shape
        self._seeds: list[int | None] = [int(seed) for seed in seeds]
        self._conduct = conduct
        self._action_meanings = _action_meanings(self._environments[0])
        self._first_action = int(getattr(self._environments[0].action_space, "start", 0))
        self._decisions = [0] * len(self._environments)
        self._lives = [0] * len(self._environments)
        self._ended = [False] * len(self._environments)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gymnasium")
        self._pending: Future[TimeStep] | None = None

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """The environment's own name of each of the A actions, or its number."""
        return self._action_meanings

    def reset(self) -> TimeStep:
        """Open one episode everywhere: the first time from the seeds, later going on from there."""
        if self._pending is not None:
            self.recv()
        self._ended = [True] * len(self._environments)
        return self._step([0] * len(self._environments))

    def send(self, actions: IntArray) -> None:
        """Start one decision everywhere; int64 [E]; returns at once."""
        if self._pending is not None:
            raise ValueError("receive the decisions under way before sending others")
        self._pending = self._thread.submit(self._step, [int(action) for action in actions])

    def recv(self) -> TimeStep:
        """Wait for the decisions that `send` started; what an environment raised is raised here."""
        if self._pending is None:
            raise ValueError("send actions before receiving")
        pending, self._pending = self._pending, None
        return pending.result()

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Reset some environments with seeds: int64 [n] and [n] -> uint8 [n, H, W]."""
        if self._pending is not None:
            raise ValueError("receive the decisions under way before reseeding")
        for i, seed in zip(environments, seeds, strict=True):
            self._seeds[i] = int(seed)
        return np.stack([self._open_episode(int(i)) for i in environments])

    def close(self) -> None:
        """Wait for the thread and close the environments; closing twice is harmless."""
        self._thread.shutdown(wait=True)
        while self._environments:
            self._environments.pop().close()

    def _step(self, actions: list[int]) -> TimeStep:
        step = TimeStep(
            frame=np.zeros((len(actions), *self._frame_shape), np.uint8),
            reward=np.zeros(len(actions), np.float32),
            discount=np.ones(len(actions), np.float32),
            first=np.array(self._ended),
        )
        for i, action in enumerate(actions):
            if self._ended[i]:
                step.frame[i] = self._open_episode(i)
            else:
                self._decide(i, action, step)
        return step

    def _open_episode(self, i: int) -> UInt8Array:
        frame, info = self._environments[i].reset(seed=self._seeds[i])
        self._seeds[i] = None
        self._decisions[i] = 0
        self._lives[i] = int(info.get("lives", 0))
        self._ended[i] = False
        return self._see(frame)

    def _decide(self, i: int, action: int, step: TimeStep) -> None:
        frame, points, terminated, truncated, info = self._environments[i].step(
            action + self._first_action
        )
        self._decisions[i] += 1
        lives = int(info.get("lives", 0))
        lost = self._conduct.life_loss_terminal and lives < self._lives[i]
        cap = self._conduct.max_episode_decisions
        capped = cap is not None and self._decisions[i] >= cap
        self._lives[i] = lives
        self._ended[i] = bool(terminated or truncated or capped)
        step.reward[i] = points
        step.discount[i] = 0.0 if terminated or lost else 1.0
        if not (terminated and self._conduct.blank_terminal_frame):
            step.frame[i] = self._see(frame)

    def _see(self, frame: Any) -> UInt8Array:
        image = np.asarray(frame, np.uint8)
        return self._preprocess(image[..., 0] if image.shape[2:] == (1,) else image)


def _action_meanings(environment: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    own = getattr(environment.unwrapped, "get_action_meanings", None)
    if own is not None:
        return tuple(str(name) for name in own())
    actions = int(getattr(environment.action_space, "n", 0))
    return tuple(str(action) for action in range(actions))
