"""E Atari emulators: starting them, and using them as `Environments`."""

from __future__ import annotations

from typing import Any

import ale_py
import numpy as np

from qcade.compute.cores import available_cores
from qcade.games.emulation import EmulatorSettings, VectorEmulators
from qcade.games.mode_emulators import ModeEmulators
from qcade.types import BoolArray, IntArray, QcadeError, TimeStep, UInt8Array

KEEP_RANDOMNESS = -1
"""In place of a seed: no reseeding."""


def start_emulators(settings: EmulatorSettings, emulators: int, threads: int) -> VectorEmulators:
    """Start E emulators on that many threads (0: all cores that this process may use).

    ale-py's vector interface, which preprocesses in C++ threads, supports only the default mode and
    difficulty; for any other, the emulators share one Python thread. Raises QcadeError if the game
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
        # Despite its name, counts emulator frames, from the end of the opening no-ops.
        max_episode_steps=settings.max_episode_frames,
        repeat_action_probability=settings.sticky_actions,
        full_action_space=settings.full_action_set,
        batch_size=0,
        # Its own default, 0, would use all cores of the machine, even in a limited container.
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
        """Wrap emulators that have not been reset; `seeds` is int64 [E]."""
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
        """Open one episode in every emulator: first from the seeds, later without reseeding."""
        observation, info = self._opened().reset(np.arange(len(self._seeds)), self._seeds)
        self._seeds = np.full_like(self._seeds, KEEP_RANDOMNESS)
        self._lives = info["lives"]
        self._ended = np.zeros(len(self._seeds), np.bool_)
        return TimeStep(
            frame=observation[:, 0],
            reward=np.zeros(len(self._seeds), np.float32),
            discount=np.ones(len(self._seeds), np.float32),
            first=np.ones(len(self._seeds), np.bool_),
        )

    def send(self, actions: IntArray) -> None:
        """Start one decision in every emulator, int64 [E]; ValueError for an unknown action."""
        # The emulator would throw in its own thread, and recv would wait forever.
        if actions.min() < 0 or actions.max() >= len(self._action_meanings):
            raise ValueError(f"actions must be 0..{len(self._action_meanings) - 1}: {actions}")
        self._opened().send(actions, self._strength)

    def recv(self) -> TimeStep:
        """Wait for the decisions that `send` started; other Python threads keep running."""
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
        """Reseed some emulators by reloading the ROM, about 0.1 s each: -> uint8 [n, H, W]."""
        observation, info = self._opened().reset(environments, seeds)
        # For the other emulators, `info` may be older than what `recv` returned.
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
