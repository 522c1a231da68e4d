"""Atari games with a fixed frame skip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import ale_py
import numpy as np

from qcade.games import atari_film
from qcade.games.emulation import EmulatorSettings
from qcade.games.emulators import KEEP_RANDOMNESS, AtariEnvironments, start_emulators
from qcade.games.names import canonical
from qcade.games.roms import Rom, find_rom
from qcade.games.seeds import environment_seeds
from qcade.parts import Game, always
from qcade.types import (
    JSON,
    Count,
    EmulatorCount,
    EmulatorPositive,
    FilmedStep,
    FrameSkip,
    IntArray,
    Pixels,
    Probability,
)


@dataclass(frozen=True)
class Atari(Game):
    """An Atari game with a fixed frame skip, as in the Nature paper and most later ones."""

    game: str = "pong"
    """Name of the game, in any usual spelling."""
    frame_skip: FrameSkip = 4
    """Emulator frames per decision."""
    sticky_actions: Probability = 0.0
    """Probability that a frame repeats the previous action instead of the chosen one."""
    noop_max: EmulatorCount = 30
    """Maximum number of random no-op frames at the start of an episode."""
    life_loss_terminal: bool = True
    """Whether a lost life counts as terminal (discount 0), without ending the episode."""
    fire_reset: bool = False
    """Whether FIRE is pressed automatically at the start of an episode."""
    full_action_set: bool = False
    """Whether to use all 18 actions, not only those with an effect in this game."""
    max_episode_frames: EmulatorPositive = 108_000
    """Emulator frames after which an episode is truncated (108,000 are half an hour)."""
    height: Pixels = 84
    """Height of an observation in pixels."""
    width: Pixels = 84
    """Width of an observation in pixels."""
    rom: str | None = None
    """Path of your own ROM file; it then determines the game."""
    rom_md5: str | None = None
    """MD5 checksum of that file, filled in automatically; used to find the file if it moves."""
    mode: Count | None = None
    """Game mode, a variant selected by the console's switches; None for the default."""
    difficulty: Count | None = None
    """Difficulty, selected by the console's switches; None for the default."""

    def __post_init__(self) -> None:
        """Make the name canonical, so that games compare equal whatever the spelling."""
        object.__setattr__(self, "game", canonical(self.game))

    @property
    def slug(self) -> str:
        """The canonical name of the game: if `rom` is set, of the game in that file."""
        return self.game if self.rom is None else self._rom().game

    @property
    def frame_shape(self) -> tuple[int, int]:
        """H and W of an observation."""
        return self.height, self.width

    def resized(self, pixels: int) -> Atari:
        """The same game with square observations."""
        return replace(self, height=pixels, width=pixels)

    @property
    def frames_per_decision(self) -> int:
        """Emulator frames per decision."""
        return self.frame_skip

    def open(self, environments: int, seed: int, threads: int = 0) -> AtariEnvironments:
        """Start E emulators on that many threads (0: all cores).

        With a mode or difficulty set they share one thread. Raises QcadeError if there is no ROM or
        the game has no such mode or difficulty.
        """
        return self._start(environment_seeds(seed, environments), threads)

    def open_unseeded(self, environments: int, threads: int = 0) -> AtariEnvironments:
        """Start E emulators whose first reset does not reload the ROM, 0.1 s each."""
        if self.mode is not None or self.difficulty is not None:
            # These emulators load their ROM at the first reset, which needs a seed.
            return self.open(environments, 0, threads)
        return self._start(np.full(environments, KEEP_RANDOMNESS), threads)

    def _start(self, seeds: IntArray, threads: int) -> AtariEnvironments:
        return AtariEnvironments(
            start_emulators(self._settings(), len(seeds), threads),
            seeds,
            self.life_loss_terminal,
        )

    @property
    def is_replayable(self) -> bool:
        """Yes: the emulator is deterministic."""
        return True

    @property
    def pictures_per_second(self) -> float:
        """The emulator's 60 frames a second."""
        return atari_film.FRAMES_PER_SECOND

    def film(
        self,
        emulator_seed: int,
        actions: Iterable[int],
        is_shown: Callable[[int], bool] = always,
    ) -> Iterator[FilmedStep]:
        """Recreate one emulator's play from a seeded reset; yield every frame in colour."""
        return atari_film.film(self._settings(), emulator_seed, actions, is_shown)

    def protocol(self) -> dict[str, JSON]:
        """Everything that scores depend on, including versions."""
        rom = self._rom()
        # Only if set: runs made before these settings existed have no such entries.
        chosen = {"mode": self.mode, "difficulty": self.difficulty}
        return {
            "kind": "atari",
            "game": rom.game,
            "frame_skip": self.frame_skip,
            "sticky_actions": self.sticky_actions,
            "noop_max": self.noop_max,
            "life_loss_terminal": self.life_loss_terminal,
            "fire_reset": self.fire_reset,
            "action_set": "full" if self.full_action_set else "minimal",
            "max_episode_frames": self.max_episode_frames,
            "observation": f"{self.height}x{self.width} grey",
            "ale_py": ale_py.__version__,
            "rom_md5": rom.md5,
            **{name: value for name, value in chosen.items() if value is not None},
        }

    def _rom(self) -> Rom:
        return find_rom(self.game, self.rom, self.rom_md5)

    def _settings(self) -> EmulatorSettings:
        return EmulatorSettings(
            rom=self._rom().path,
            mode=self.mode,
            difficulty=self.difficulty,
            frame_skip=self.frame_skip,
            sticky_actions=self.sticky_actions,
            noop_max=self.noop_max,
            fire_reset=self.fire_reset,
            full_action_set=self.full_action_set,
            max_episode_frames=self.max_episode_frames,
            size=(self.height, self.width),
        )
