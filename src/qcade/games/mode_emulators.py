"""Emulators with a mode or difficulty, which ale-py's vector interface does not support.

They follow the rules of that interface, including its corner cases: in a game's default mode they
return the same frames and points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import ale_py
import numpy as np

from qcade.games.area_resize import opencv_area
from qcade.games.emulation import EmulatorSettings, Outcomes
from qcade.games.modes import set_mode
from qcade.types import FloatArray, IntArray, UInt8Array


class Outcome(NamedTuple):
    """What one emulator returns after a decision or a reset."""

    frame: UInt8Array
    """uint8 [H, W] or [H, W, 3]"""
    points: int = 0
    """Points of the decision, not clipped."""
    is_over: bool = False
    """Whether the game ended."""
    is_cut: bool = False
    """Whether the episode reached its frame limit."""
    lives: int = 0
    """Lives left."""


class Cartridge(NamedTuple):
    """Facts about a ROM, known once it is loaded."""

    actions: list[ale_py.Action]
    """The available actions."""
    screen: tuple[int, int]
    """Height and width of the screen."""


class PreprocessedEmulator:
    """One emulator with frame skip, maximum over frames, resizing and random no-op starts."""

    def __init__(self, settings: EmulatorSettings, cartridge: Cartridge) -> None:
        """Prepare for the first reset, which needs a seed."""
        self._settings = settings
        self._emulator = ale_py.ALEInterface()
        self._emulator.setFloat("repeat_action_probability", settings.sticky_actions)
        self._actions = cartridge.actions
        self._presses_fire = settings.fire_reset and ale_py.Action.FIRE in cartridge.actions
        shape: tuple[int, ...] = (*cartridge.screen, 3)
        self._preprocess: Callable[[UInt8Array], UInt8Array] = np.copy
        if settings.size is not None:
            shape = cartridge.screen
            self._preprocess = opencv_area(cartridge.screen, settings.size)
        self._newest, self._second_newest = np.zeros((2, *shape), np.uint8)
        self._openings = np.random.default_rng()
        self._frames = 0
        self._is_loaded = False
        self.outcome = Outcome(np.zeros(0, np.uint8))

    def reset(self, seed: int | None) -> Outcome:
        """Open an episode; with a seed, one that depends on the seed alone."""
        if seed is not None:
            self._emulator.setInt("random_seed", seed)
            self._openings = _opening_noops(seed)
            _load(self._emulator, self._settings)
            self._is_loaded = True
        self._require_loaded()
        self._emulator.reset_game()
        if self._presses_fire:
            self._emulator.act(ale_py.Action.FIRE)
        noops = int(self._openings.integers(max(self._settings.noop_max, 1), dtype=np.uint32))
        for _ in range(noops - self._presses_fire):
            self._emulator.act(ale_py.Action.NOOP)
            if self._emulator.game_over():
                self._emulator.reset_game()
        self._see(self._newest)
        self._second_newest[...] = 0
        self._frames = 0
        return self._show(0, is_over=False)

    def step(self, action: int) -> Outcome:
        """Make one decision, or open the next episode if the last one ended."""
        if self.outcome.is_over or self.outcome.is_cut:
            return self.reset(None)
        self._require_loaded()
        points, is_over = 0, False
        for left in reversed(range(self._settings.frame_skip)):
            points += self._emulator.act(self._actions[action])
            self._frames += 1
            is_over = self._emulator.game_over()
            # The vector interface does not read the frame on which an episode ends.
            if is_over or self._frames >= self._settings.max_episode_frames:
                break
            if left < 2:
                self._see(self._second_newest if left else self._newest)
        return self._show(points, is_over)

    def _require_loaded(self) -> None:
        # Otherwise the emulator would exit the process.
        if not self._is_loaded:
            raise ValueError("the first reset of an emulator needs a seed")

    def _see(self, screen: UInt8Array) -> None:
        if self._settings.size is None:
            self._emulator.getScreenRGB(screen)
        else:
            self._emulator.getScreenGrayscale(screen)

    def _show(self, points: int, is_over: bool) -> Outcome:
        if self._settings.size is not None:
            # In place, so that if the last frame was not read, the maximum of earlier ones remains.
            np.maximum(self._newest, self._second_newest, out=self._newest)
        is_cut = not is_over and self._frames >= self._settings.max_episode_frames
        frame = self._preprocess(self._newest)
        self.outcome = Outcome(frame, points, is_over, is_cut, self._emulator.lives())
        return self.outcome


class ModeEmulators:
    """E emulators that play in one background thread; see `VectorEmulators`.

    One thread, because the emulator never releases Python's global interpreter lock. The thread
    ends with the last reference to this object.
    """

    def __init__(self, settings: EmulatorSettings, emulators: int) -> None:
        """Start E emulators; QcadeError if the game has no such mode or difficulty."""
        self._cartridge = _examine(settings)
        self._emulators = [
            PreprocessedEmulator(settings, self._cartridge) for _ in range(emulators)
        ]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="emulators")
        self._pending: Future[None] | None = None

    def get_action_set(self) -> list[ale_py.Action]:
        """The A actions."""
        return self._cartridge.actions

    def reset(self, emulators: IntArray, seeds: IntArray) -> tuple[UInt8Array, dict[str, Any]]:
        """Open episodes in some emulators; a seed of -1 continues the current random state."""
        if self._pending is not None:
            self.recv()
        for number, seed in zip(emulators.tolist(), seeds.tolist(), strict=True):
            self._emulators[number].reset(seed if seed >= 0 else None)
        observation, *_, info = self._outcomes()
        return observation, info

    def send(self, actions: IntArray, strength: FloatArray) -> None:
        """Start one decision in every emulator; `strength`, all ones, is ignored."""
        self._pending = self._thread.submit(self._play, actions.tolist())

    def recv(self) -> Outcomes:
        """Wait for the decisions that `send` started."""
        if self._pending is None:
            raise ValueError("send actions before receiving")
        pending, self._pending = self._pending, None
        pending.result()
        return self._outcomes()

    def _play(self, actions: Sequence[int]) -> None:
        for emulator, action in zip(self._emulators, actions, strict=True):
            emulator.step(action)

    def _outcomes(self) -> Outcomes:
        frames, points, is_over, is_cut, lives = zip(
            *(emulator.outcome for emulator in self._emulators), strict=True
        )
        return (
            np.stack(frames)[:, None],
            np.array(points, np.int32),
            np.array(is_over, np.bool_),
            np.array(is_cut, np.bool_),
            {"lives": np.array(lives, np.int32)},
        )


def _examine(settings: EmulatorSettings) -> Cartridge:
    """Load the ROM once; QcadeError if the game has no such mode or difficulty."""
    emulator = ale_py.ALEInterface()
    _load(emulator, settings)
    all_actions, minimal = emulator.getLegalActionSet(), emulator.getMinimalActionSet()
    height, width = emulator.getScreenDims()
    return Cartridge(all_actions if settings.full_action_set else minimal, (height, width))


def _load(emulator: ale_py.ALEInterface, settings: EmulatorSettings) -> None:
    emulator.loadROM(settings.rom)
    set_mode(emulator, settings.mode, settings.difficulty)


def _opening_noops(seed: int) -> np.random.Generator:
    """The Mersenne Twister from which the vector interface draws the number of no-ops."""
    seeded = np.random.RandomState(seed).get_state(legacy=False)
    bits = np.random.MT19937()
    bits.state = {"bit_generator": "MT19937", "state": seeded["state"]}
    return np.random.Generator(bits)
