"""E Atari emulators: starting them, and playing with them as `Environments`."""

from __future__ import annotations

from typing import Any

import ale_py
import numpy as np

from qcade.games.emulation import EmulatorSettings, VectorEmulators
from qcade.games.mode_emulators import ModeEmulators
from qcade.machine import available_cores
from qcade.types import BoolArray, IntArray, QcadeError, TimeStep, UInt8Array

_KEEP_RANDOMNESS = -1


def start_emulators(settings: EmulatorSettings, emulators: int, threads: int) -> VectorEmulators:
    """Start E emulators on that many threads (0: all cores that this process may use).

    ale-py's vector interface, which preprocesses in C++ threads, plays the default mode and
    difficulty alone; those that can be told of others share one thread. `QcadeError` if the game
    has no such mode or difficulty.
    """
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    if settings.mode is not None or settings.difficulty is not None:
        return ModeEmulators(settings, emulators)
    if not hasattr(ale_py, "ALEVectorInterface"):
        raise QcadeError("this build of ale-py has no vector interface: install ale-py from PyPI")
    height, width = settings.size or _screen_size(settings)
    return ale_py.ALEVectorInterface(
        rom_path=settings.rom,
        num_envs=emulators,
        frame_skip=settings.frame_skip,
        stack_num=1,
        img_height=height,
        img_width=width,
        grayscale=settings.size is not None,
        maxpool=settings.size is not None,
        noop_max=settings.noop_max,
        use_fire_reset=settings.fire_reset,
        episodic_life=False,
        life_loss_info=False,
        reward_clipping=False,
        # It says steps and counts emulator frames, from the end of the opening no-ops on.
        max_episode_steps=settings.max_episode_frames,
        repeat_action_probability=settings.sticky_actions,
        full_action_space=settings.full_action_set,
        batch_size=0,
        # Its own 0 would be all cores of the machine, whatever a container may use of them.
        num_threads=threads or min(emulators, available_cores()),
        thread_affinity_offset=-1,
        autoreset_mode="NextStep",
    )


class AtariEnvironments:
    """E emulators that were started together; see `Environments`."""

    def __init__(
        self,
        emulators: VectorEmulators,
        seeds: IntArray,
        life_loss_terminal: bool,
    ) -> None:
        """Wrap emulators that were not reset yet; `seeds` is int64 [E]."""
        self._emulators: VectorEmulators | None = emulators
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

    def _opened(self) -> VectorEmulators:
        if self._emulators is None:
            raise ValueError("these environments were closed")
        return self._emulators


def _screen_size(settings: EmulatorSettings) -> tuple[int, int]:
    emulator = ale_py.ALEInterface()
    emulator.loadROM(settings.rom)
    height, width = emulator.getScreenDims()
    return height, width
