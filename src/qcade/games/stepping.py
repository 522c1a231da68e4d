"""Stepping a list of Gymnasium environments in one background thread.

That thread makes, resets, steps, renders and closes them all: an environment may hold objects that
only the creating thread can use, such as a database connection or an OpenGL context.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias, TypeVar

import gymnasium
import numpy as np

from qcade.games.contract import check_reset, check_step, guarded
from qcade.games.frames import Preprocess
from qcade.games.pictures import as_picture
from qcade.types import EnvironmentFailed, IntArray, TimeStep, UInt8Array

MOST_PICTURES_PER_SECOND = 1_000

Environment: TypeAlias = "gymnasium.Env[Any, Any]"
Result = TypeVar("Result")


class EpisodeRules(NamedTuple):
    """How episodes end and what their last frame shows."""

    max_episode_decisions: int | None = None
    """Decisions after which an episode is truncated; None leaves that to the environment."""
    life_loss_terminal: bool = False
    """Whether a decrease of info["lives"] has discount 0, without ending the episode."""
    blank_terminal_frame: bool = False
    """Whether the last frame of a terminated (not truncated) game is replaced by zeros."""


class GymnasiumEnvironments:
    """E Gymnasium environments that step in the background; see `Environments`.

    The call that waits for an environment raises EnvironmentFailed for any of its errors.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Environment],
        seeds: IntArray,
        preprocess: Preprocess,
        frame_shape: tuple[int, int],
        rules: EpisodeRules,
        check: Callable[[Environment], None] = lambda environment: None,
    ) -> None:
        """Make one environment per seed, int64 [E]; `check` is called with the first."""
        self._name, self._preprocess, self._frame_shape = name, preprocess, frame_shape
        self._rules = rules
        self._seeds: list[int | None] = [int(seed) for seed in seeds]
        self._decisions = [0] * len(seeds)
        self._lives = [0] * len(seeds)
        self._ended = [False] * len(seeds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gymnasium")
        self._pending: Future[TimeStep] | None = None
        self._environments: list[Environment] = []
        self._last_frame: UInt8Array = np.zeros((1, 1), np.uint8)
        try:
            self._wait_for(lambda: self._open(make, check))
        except BaseException:
            self._thread.submit(self._close_all)
            self._thread.shutdown(wait=True)
            raise

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """The environment's name for each of the A actions, or its number."""
        return self._action_meanings

    def reset(self) -> TimeStep:
        """Open one episode in every environment: first from the seeds, later without reseeding."""
        if self._pending is not None:
            self.recv()
        self._ended = [True] * len(self._environments)
        return self._wait_for(lambda: self._step([0] * len(self._environments)))

    def send(self, actions: IntArray) -> None:
        """Start one decision in every environment, int64 [E]; return at once."""
        if self._pending is not None:
            raise ValueError("receive the last decisions before sending new ones")
        chosen = [int(action) for action in actions]
        self._pending = self._thread.submit(self._step, chosen)

    def recv(self) -> TimeStep:
        """Wait for the decisions that `send` started."""
        if self._pending is None:
            raise ValueError("send actions before receiving")
        pending, self._pending = self._pending, None
        return pending.result()

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Reset some environments with seeds: int64 [n] and [n] -> uint8 [n, H, W]."""
        if self._pending is not None:
            raise ValueError("receive the last decisions before reseeding")
        for i, seed in zip(environments, seeds, strict=True):
            self._seeds[i] = int(seed)
        return self._wait_for(lambda: np.stack([self._open_episode(int(i)) for i in environments]))

    @property
    def pictures_per_second(self) -> float | None:
        """The rate that the environment declares; None if it is not valid for a video."""
        metadata = self._environments[0].metadata
        rate = metadata.get("render_fps") if isinstance(metadata, dict) else None
        if not isinstance(rate, (int, float)) or not 1 <= rate <= MOST_PICTURES_PER_SECOND:
            return None
        return float(rate)

    def picture(self) -> UInt8Array:
        """Render the current state of the first environment: uint8 [height, width, 3].

        If the environment has no render mode, return its last observation.
        """
        return self._wait_for(self._render)

    def close(self) -> None:
        """Wait for the thread and close the environments; closing twice is harmless.

        If any fail to close, raises the first EnvironmentFailed once all are closed.
        """
        if not self._environments:
            self._thread.shutdown(wait=True)
            return
        failures = self._thread.submit(self._close_all).result()
        self._thread.shutdown(wait=True)
        if failures:
            raise failures[0]

    def _wait_for(self, work: Callable[[], Result]) -> Result:
        return self._thread.submit(work).result()

    def _open(self, make: Callable[[], Environment], check: Callable[[Environment], None]) -> None:
        for _ in self._seeds:
            self._environments.append(guarded(self._name, "its constructor", make))
        first = self._environments[0]
        guarded(self._name, "its constructor", lambda: check(first))
        self._action_meanings = guarded(self._name, "its actions", lambda: _action_meanings(first))
        self._first_action = int(getattr(first.action_space, "start", 0))
        self._shape = tuple(first.observation_space.shape or ())

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
        environment, seed = self._environments[i], self._seeds[i]
        returned = guarded(self._name, "reset", lambda: environment.reset(seed=seed))
        frame, self._lives[i] = check_reset(self._name, self._shape, returned)
        self._seeds[i] = None
        self._decisions[i] = 0
        self._ended[i] = False
        return self._see(frame)

    def _decide(self, i: int, action: int, step: TimeStep) -> None:
        environment = self._environments[i]
        returned = guarded(
            self._name, "step", lambda: environment.step(action + self._first_action)
        )
        frame, points, terminated, truncated, lives = check_step(self._name, self._shape, returned)
        self._decisions[i] += 1
        lost = self._rules.life_loss_terminal and lives < self._lives[i]
        cap = self._rules.max_episode_decisions
        capped = cap is not None and self._decisions[i] >= cap
        self._lives[i] = lives
        self._ended[i] = terminated or truncated or capped
        step.reward[i] = points
        step.discount[i] = 0.0 if terminated or lost else 1.0
        if not (terminated and self._rules.blank_terminal_frame):
            step.frame[i] = self._see(frame)

    def _see(self, frame: UInt8Array) -> UInt8Array:
        self._last_frame = frame
        return self._preprocess(frame[..., 0] if frame.shape[2:] == (1,) else frame)

    def _render(self) -> UInt8Array:
        environment = self._environments[0]
        if environment.render_mode is None:
            # Made without a render mode, or it does not report the one it has.
            with contextlib.suppress(Exception):
                if (rendered := environment.render()) is not None:
                    return as_picture(rendered, self._name)
            return as_picture(self._last_frame, self._name)
        rendered = guarded(self._name, "render", environment.render)
        return as_picture(rendered, self._name)

    def _close_all(self) -> list[EnvironmentFailed]:
        failures = []
        while self._environments:
            environment = self._environments.pop()
            try:
                guarded(self._name, "close", environment.close)
            except EnvironmentFailed as failure:
                failures.append(failure)
        return failures


def _action_meanings(environment: Environment) -> tuple[str, ...]:
    own = getattr(environment.unwrapped, "get_action_meanings", None)
    if own is not None:
        return tuple(str(name) for name in own())
    actions = int(getattr(environment.action_space, "n", 0))
    return tuple(str(action) for action in range(actions))
