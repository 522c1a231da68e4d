"""Atari games with a fixed frame skip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import ale_py

from qcade.games import atari_film
from qcade.games.emulation import EmulatorSettings
from qcade.games.emulators import AtariEnvironments, start_emulators
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
    Pixels,
    Probability,
)


@dataclass(frozen=True)
class Atari(Game):
    """An Atari game with a fixed frame skip, as in the Nature paper and after it."""

    game: str = "pong"
    """Name of the game, in any usual spelling."""
    frame_skip: FrameSkip = 4
    """Emulator frames that one decision lasts."""
    sticky_actions: Probability = 0.0
    """Probability, at each emulator frame, that the previous action is repeated instead."""
    noop_max: EmulatorCount = 30
    """Most emulator frames that an episode may open with without any action."""
    life_loss_terminal: bool = True
    """Whether losing a life has discount 0, without ending the episode."""
    fire_reset: bool = False
    """Whether FIRE is pressed for the player when an episode opens."""
    full_action_set: bool = False
    """Whether all 18 actions are offered, not only those that matter in this game."""
    max_episode_frames: EmulatorPositive = 108_000
    """Emulator frames after which an episode is cut off (108,000 are half an hour)."""
    height: Pixels = 84
    """Height of an observation in pixels."""
    width: Pixels = 84
    """Width of an observation in pixels."""
    rom: str | None = None
    """Path of a ROM file of your own; it then decides the game."""
    rom_md5: str | None = None
    """Checksum of that file, filled in: by it the ROM is found again wherever it is moved."""
    mode: Count | None = None
    """Mode of the game, a variant that its own switches select; none for its default."""
    difficulty: Count | None = None
    """Difficulty of the game, by its own switches; none for its default."""

    def __post_init__(self) -> None:
        """Make the name canonical, so that equal games are equal whatever the spelling."""
        object.__setattr__(self, "game", canonical(self.game))

    @property
    def slug(self) -> str:
        """The canonical name of the game: of the one in `rom`, where that is given."""
        return self.game if self.rom is None else self._rom().game

    @property
    def frame_shape(self) -> tuple[int, int]:
        """H and W of an observation."""
        return self.height, self.width

    @property
    def frames_per_decision(self) -> int:
        """Emulator frames that one decision lasts."""
        return self.frame_skip

    def open(self, environments: int, seed: int, threads: int = 0) -> AtariEnvironments:
        """Start E emulators on that many threads (0: all cores).

        In a chosen mode or difficulty they share one thread. `QcadeError` without a ROM, or if the
        game has no such mode or difficulty.
        """
        return AtariEnvironments(
            start_emulators(self._settings(), environments, threads),
            environment_seeds(seed, environments),
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
        """Play one emulator again from a seeded reset on, every frame of it in colour."""
        return atari_film.film(self._settings(), emulator_seed, actions, is_shown)

    def protocol(self) -> dict[str, JSON]:
        """Everything about play that a score depends on, versions included."""
        rom = self._rom()
        # Only where they are chosen: runs from before there was a choice have no such entries.
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
