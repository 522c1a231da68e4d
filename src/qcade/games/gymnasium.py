"""Any Gymnasium environment that shows an image and offers a list of actions."""

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
"""Half an hour: where nothing else ends an episode, an evaluation does."""

_WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


@dataclass(frozen=True)
class GymnasiumGame(Game):
    """A game from Gymnasium's registry, stepped in one background thread."""

    env_id: str = "ALE/Pong-v5"
    """Gymnasium's id of the environment; `module:Name-v0` imports the module first."""
    height: Pixels = 84
    """Height of an observation in pixels."""
    width: Pixels = 84
    """Width of an observation in pixels."""
    frame_skip: FrameSkip = 1
    """Frames that one decision is counted as; how many it lasts is up to the environment."""
    max_episode_decisions: Positive | None = None
    """Decisions after which an episode is cut; None keeps the environment's own limit."""
    life_loss_terminal: bool = False
    """Whether a fall of `info["lives"]` has discount 0, without ending the episode."""
    arguments: tuple[str, ...] = ()
    """Keyword arguments of the environment, such as size=8 or name="hard"."""

    @property
    def slug(self) -> str:
        """The canonical name of an Atari game, or the id without module, namespace and version."""
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
        """Frames that one decision is counted as."""
        return self.frame_skip

    def open(self, environments: int, seed: int, threads: int = 0) -> GymnasiumEnvironments:
        """Make E environments that share one thread; `QcadeError` if an agent cannot play them."""
        return self._open(environment_seeds(seed, environments), None)

    def open_filmed(self, seed: int) -> GymnasiumEnvironments:
        """Make one environment that renders while it is played; without a render mode if it must.

        Not every constructor takes one; then the film shows observations.
        """
        seeds = environment_seeds(seed, 1)
        try:
            return self._open(seeds, "rgb_array")
        except EnvironmentFailed as failure:
            if "render_mode" not in str(failure.__cause__):
                raise
        return self._open(seeds, None)

    def capped(self) -> GymnasiumGame:
        """The same game, with episodes of half an hour at most where nothing else ends them."""
        registered = registry.find_spec(self.env_id).max_episode_steps
        if self.max_episode_decisions is not None or registered is not None:
            return self
        return replace(self, max_episode_decisions=max(1, CAP_FRAMES // self.frame_skip))

    @property
    def is_replayable(self) -> bool:
        """No promise: environments of others may depend on anything."""
        return False

    @property
    def pictures_per_second(self) -> float:
        """The environment's own rate where it names one, else 30."""
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
        """Refuse: seeds and actions bring nothing back; `open_filmed` films what is played now."""
        raise QcadeError(f"{self.env_id} cannot be played again from seeds and actions")

    def protocol(self) -> dict[str, JSON]:
        """Everything about play that a score depends on, the registered settings included."""
        spec = registry.find_spec(self.env_id)
        arguments = registry.parse_arguments(self.arguments)
        # Settings may hold any object; its text is enough to tell two protocols apart.
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
        # A limit of its own replaces the registered one, which might be shorter: -1 lifts that.
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
