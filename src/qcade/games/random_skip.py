"""Atari games as in Gymnasium's `-v4` ids, where a decision lasts 2, 3 or 4 frames at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import ale_py
import gymnasium
from ale_py.env import AtariEnv

from qcade.checks import check_value
from qcade.games.atari_film import FRAMES_PER_SECOND
from qcade.games.frames import subsampled_mean
from qcade.games.modes import require_modes
from qcade.games.names import canonical
from qcade.games.roms import find_rom
from qcade.games.seeds import environment_seeds
from qcade.games.stepping import EpisodeRules, GymnasiumEnvironments
from qcade.parts import Game, always
from qcade.types import (
    JSON,
    Count,
    FilmedStep,
    FrameSkip,
    Positive,
    Probability,
    QcadeError,
    UInt8Array,
)

_HEIGHT, _WIDTH = 105, 80


@dataclass(frozen=True)
class RandomSkipAtari(Game):
    """An Atari game with a random frame skip and 105x80 observations."""

    game: str = "pong"
    """Name of the game, in any usual spelling."""
    frame_skip: tuple[FrameSkip, FrameSkip] = (2, 5)
    """Range of emulator frames per decision: minimum, and maximum plus one, as in Gymnasium."""
    sticky_actions: Probability = 0.0
    """Probability that a frame repeats the previous action instead of the chosen one."""
    blank_terminal_frame: bool = True
    """Whether the last frame of a game is replaced by zeros."""
    max_episode_decisions: Positive = 50_000
    """Decisions after which an episode is truncated."""
    life_loss_terminal: bool = False
    """Whether a lost life counts as terminal (discount 0), without ending the episode."""
    full_action_set: bool = False
    """Whether to use all 18 actions, not only those with an effect in this game."""
    mode: Count | None = None
    """Game mode, a variant selected by the console's switches; None for the default."""
    difficulty: Count | None = None
    """Difficulty, selected by the console's switches; None for the default."""

    def __post_init__(self) -> None:
        """Make the name canonical and check the frame skip; QcadeError if either is wrong."""
        object.__setattr__(self, "game", canonical(self.game))
        skip = tuple(self.frame_skip) if isinstance(self.frame_skip, list) else self.frame_skip
        check_value(skip, tuple[FrameSkip, FrameSkip], "game.frame_skip")
        low, high = skip
        if not low < high:
            raise QcadeError(
                f"game.frame_skip is {low}, {high}: the first must be less than the second"
            )
        object.__setattr__(self, "frame_skip", (low, high))

    @property
    def slug(self) -> str:
        """The canonical name of the game."""
        return self.game

    @property
    def frame_shape(self) -> tuple[int, int]:
        """H and W of an observation."""
        return _HEIGHT, _WIDTH

    @property
    def frames_per_decision(self) -> int:
        """Mean number of emulator frames per decision, rounded."""
        low, high = self.frame_skip
        return round((low + high - 1) / 2)

    def open(self, environments: int, seed: int, threads: int = 0) -> GymnasiumEnvironments:
        """Start E emulators that share one thread.

        Raises QcadeError if there is no ROM or the game has no such mode or difficulty.
        """
        require_modes(self.game, self.mode, self.difficulty)
        return GymnasiumEnvironments(
            self.game,
            lambda: self._make(self.frame_skip),
            environment_seeds(seed, environments),
            subsampled_mean(),
            self.frame_shape,
            EpisodeRules(
                self.max_episode_decisions, self.life_loss_terminal, self.blank_terminal_frame
            ),
        )

    @property
    def is_replayable(self) -> bool:
        """Yes: the emulator is deterministic."""
        return True

    @property
    def pictures_per_second(self) -> float:
        """The emulator's 60 frames a second."""
        return FRAMES_PER_SECOND

    def film(
        self,
        emulator_seed: int,
        actions: Iterable[int],
        is_shown: Callable[[int], bool] = always,
    ) -> Iterator[FilmedStep]:
        """Recreate one emulator's play from a seeded reset; yield every frame in colour.

        The environment draws each decision's length from `np_random`, and nothing else. So drawing
        the same lengths for an environment without frame skip recreates the game.
        """
        find_rom(self.game)
        environment = self._make(frame_skip=1)
        environment.reset(seed=emulator_seed)
        ended, decisions = False, 0
        for step, action in enumerate(actions):
            shown = is_shown(step)
            if ended:
                opening, _ = environment.reset()
                ended, decisions = False, 0
                yield FilmedStep([opening] if shown else [], 0.0, first=True)
                continue
            pictures: list[UInt8Array] = []
            points = 0.0
            for _ in range(int(environment.unwrapped.np_random.integers(*self.frame_skip))):
                picture, reward, terminated, truncated, _ = environment.step(action)
                if shown:
                    pictures.append(picture)
                points += float(reward)
                ended = ended or terminated or truncated
            decisions += 1
            ended = ended or decisions >= self.max_episode_decisions
            yield FilmedStep(pictures, points)

    def protocol(self) -> dict[str, JSON]:
        """Everything that scores depend on, including versions."""
        # Only if set: runs made before these settings existed have no such entries.
        chosen = {"mode": self.mode, "difficulty": self.difficulty}
        return {
            "kind": "random-skip atari",
            "game": self.game,
            "frame_skip": list(self.frame_skip),
            "sticky_actions": self.sticky_actions,
            "noop_max": 0,
            "life_loss_terminal": self.life_loss_terminal,
            "fire_reset": False,
            "action_set": "full" if self.full_action_set else "minimal",
            "max_episode_decisions": self.max_episode_decisions,
            "blank_terminal_frame": self.blank_terminal_frame,
            "observation": f"{_HEIGHT}x{_WIDTH} grey",
            "ale_py": ale_py.__version__,
            "rom_md5": find_rom(self.game).md5,
            **{name: value for name, value in chosen.items() if value is not None},
        }

    def _make(self, frame_skip: int | tuple[int, int]) -> gymnasium.Env[Any, Any]:
        # Set before the emulator is created, or its logger prints a banner.
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        return cast(
            "gymnasium.Env[Any, Any]",
            AtariEnv(
                self.game,
                mode=self.mode,
                difficulty=self.difficulty,
                obs_type="rgb",
                frameskip=frame_skip,
                repeat_action_probability=self.sticky_actions,
                full_action_space=self.full_action_set,
            ),
        )
