"""Any Gymnasium environment with image observations and discrete actions."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import ale_py
import gymnasium

from qcade.games import registry
from qcade.games.contract import check_spaces
from qcade.games.frames import area
from qcade.games.names import canonical
from qcade.games.seeds import environment_seeds
from qcade.games.stepping import EpisodeRules, GymnasiumEnvironments
from qcade.parts import Game, always
from qcade.types import (
    JSON,
    EnvironmentFailed,
    FilmedStep,
    FrameSkip,
    IntArray,
    Pixels,
    Positive,
    QcadeError,
)

DEFAULT_PICTURES_PER_SECOND = 30.0
CAP_FRAMES = 108_000
"""Half an hour: evaluations truncate episodes here if the environment has no limit."""

_WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


@dataclass(frozen=True)
class GymnasiumGame(Game):
    """An environment from Gymnasium's registry, stepped in one background thread."""

    env_id: str = "ALE/Pong-v5"
    """Gymnasium id of the environment; `module:Name-v0` imports the module first."""
    height: Pixels = 84
    """Height of an observation in pixels."""
    width: Pixels = 84
    """Width of an observation in pixels."""
    frame_skip: FrameSkip = 1
    """Emulator frames to count per decision; does not change the environment's own frame skip."""
    max_episode_decisions: Positive | None = None
    """Decisions after which an episode is truncated; None for the environment's own limit."""
    life_loss_terminal: bool = False
    """Whether a decrease of info["lives"] counts as terminal, without ending the episode."""
    arguments: tuple[str, ...] = ()
    """Keyword arguments for the environment, such as size=8 or name="hard"."""

    @property
    def slug(self) -> str:
        """The canonical name if it is an Atari game, else the id without module and version."""
        try:
            return canonical(self.env_id)
        except QcadeError:
            name = re.sub(r"-v\d+$", "", re.split(r"[:/]", self.env_id)[-1])
            return _WORD_BOUNDARY.sub("_", name).strip("_").lower()

    @property
    def frame_shape(self) -> tuple[int, int]:
        """H and W of an observation."""
        return self.height, self.width

    @property
    def frames_per_decision(self) -> int:
        """Emulator frames counted per decision."""
        return self.frame_skip

    def open(self, environments: int, seed: int, threads: int = 0) -> GymnasiumEnvironments:
        """Make E environments that share one thread; QcadeError if agents cannot play them."""
        return self._open(environment_seeds(seed, environments), None)

    def open_filmed(self, seed: int) -> GymnasiumEnvironments:
        """Make one environment that renders while it is played.

        If its constructor takes no render mode, the film shows observations.
        """
        seeds = environment_seeds(seed, 1)
        try:
            return self._open(seeds, "rgb_array")
        except EnvironmentFailed as failure:
            if "render_mode" not in str(failure.__cause__):
                raise
        return self._open(seeds, None)

    def capped(self) -> GymnasiumGame:
        """The same game with episodes limited to half an hour, unless they have a limit already."""
        registered = registry.find_spec(self.env_id).max_episode_steps
        if self.max_episode_decisions is not None or registered is not None:
            return self
        return replace(self, max_episode_decisions=max(1, CAP_FRAMES // self.frame_skip))

    @property
    def is_replayable(self) -> bool:
        """No: third-party environments may depend on anything."""
        return False

    @property
    def pictures_per_second(self) -> float:
        """The environment's own rate if it declares one, else 30."""
        environments = self.open(1, 0)
        try:
            return environments.pictures_per_second or DEFAULT_PICTURES_PER_SECOND
        finally:
            environments.close()

    def film(
        self,
        emulator_seed: int,
        actions: Iterable[int],
        is_shown: Callable[[int], bool] = always,
    ) -> Iterator[FilmedStep]:
        """Raise QcadeError: seeds and actions do not recreate a game; use `open_filmed`."""
        raise QcadeError(f"{self.env_id} cannot be recreated from seeds and actions")

    def protocol(self) -> dict[str, JSON]:
        """Everything that scores depend on, including the registered settings."""
        spec = registry.find_spec(self.env_id)
        arguments = registry.parse_arguments(self.arguments)
        # Settings may be any object; its text is enough to tell protocols apart.
        text = json.dumps(spec.kwargs, default=str, sort_keys=True)
        registered: JSON = json.loads(text, parse_constant=str)
        more: dict[str, JSON] = {"arguments": arguments} if arguments else {}
        if registry.is_atari(spec):
            more["ale_py"] = ale_py.__version__
        return {
            "kind": "gymnasium",
            "game": self.slug,
            "env_id": registry.full_id(self.env_id),
            "registered": registered,
            "frame_skip": self.frame_skip,
            "max_episode_decisions": self.max_episode_decisions or spec.max_episode_steps,
            "life_loss_terminal": self.life_loss_terminal,
            "observation": f"{self.height}x{self.width} grey",
            "gymnasium": gymnasium.__version__,
            **more,
        }

    def _open(self, seeds: IntArray, render_mode: str | None) -> GymnasiumEnvironments:
        # Our own limit replaces the registered one, which may be shorter: -1 removes that.
        limit = None if self.max_episode_decisions is None else -1
        arguments = registry.parse_arguments(self.arguments)
        return GymnasiumEnvironments(
            self.env_id,
            functools.partial(registry.make, self.env_id, arguments, render_mode, limit),
            seeds,
            area(self.height, self.width),
            self.frame_shape,
            EpisodeRules(self.max_episode_decisions, self.life_loss_terminal),
            functools.partial(check_spaces, self.env_id),
        )
