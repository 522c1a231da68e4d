"""Any Gymnasium environment that shows an image and offers a list of actions."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ale_py
import gymnasium
import numpy as np
from gymnasium import spaces

from qcade.games.frames import area
from qcade.games.names import canonical
from qcade.games.seeds import environment_seeds
from qcade.games.stepping import Conduct, GymnasiumEnvironments
from qcade.parts import Game, always
from qcade.types import JSON, FilmedStep, Positive, QcadeError, UInt8Array

# Naming the package once makes its games known to Gymnasium.
gymnasium.register_envs(ale_py)

_WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


@dataclass(frozen=True)
class GymnasiumGame(Game):
    """A game from Gymnasium's registry, stepped in one background thread."""

    env_id: str = "ALE/Pong-v5"
    """Gymnasium's id of the environment; `module:Name-v0` imports the module first."""
    height: Positive = 84
    """Height of an observation in pixels."""
    width: Positive = 84
    """Width of an observation in pixels."""
    frame_skip: Positive = 1
    """Frames that one decision is counted as; how many it lasts is up to the environment."""
    max_episode_decisions: Positive | None = None
    """Decisions after which an episode is cut off; None keeps the environment's own limit."""
    life_loss_terminal: bool = False
    """Whether a fall of `info["lives"]` has discount 0, without ending the episode."""

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
        made = [self._make() for _ in range(environments)]
        _require_playable(self.env_id, made[0])
        return GymnasiumEnvironments(
            made,
            area(self.height, self.width),
            self.frame_shape,
            environment_seeds(seed, environments),
            Conduct(self.max_episode_decisions, self.life_loss_terminal),
        )

    @property
    def is_replayable(self) -> bool:
        """No promise: environments of others may depend on anything."""
        return False

    @property
    def pictures_per_second(self) -> float:
        """The environment's own rate where it names one, else 30."""
        made = self._make()
        rate = made.metadata.get("render_fps") or 30
        made.close()
        return float(rate)

    def film(
        self,
        emulator_seed: int,
        actions: Iterable[int],
        is_shown: Callable[[int], bool] = always,
    ) -> Iterator[FilmedStep]:
        """Play one environment again from a seeded reset on, as the environment renders it."""
        environment = self._make(render_mode="rgb_array")
        environment.reset(seed=emulator_seed)
        start = int(getattr(environment.action_space, "start", 0))
        ended, decisions = False, 0
        for step, action in enumerate(actions):
            first, points = ended, 0.0
            if first:
                environment.reset()
                ended, decisions = False, 0
            else:
                _, reward, terminated, truncated, _ = environment.step(action + start)
                points = float(reward)
                decisions += 1
                ended = terminated or truncated or decisions == self.max_episode_decisions
            pictures: list[UInt8Array] = []
            if is_shown(step):
                pictures.append(np.asarray(environment.render(), np.uint8))
            yield FilmedStep(pictures, points, first)
        environment.close()

    def protocol(self) -> dict[str, JSON]:
        """Everything about play that a score depends on, the registered settings included."""
        try:
            spec = gymnasium.spec(self.env_id)
        except (gymnasium.error.Error, ImportError) as reason:
            raise _unknown(self.env_id, reason) from reason
        # Settings may hold any object; its text is enough to tell two protocols apart.
        registered: JSON = json.loads(json.dumps(spec.kwargs, default=str, sort_keys=True))
        versions: dict[str, JSON] = {"gymnasium": gymnasium.__version__}
        if str(spec.entry_point).startswith("ale_py"):
            versions["ale_py"] = ale_py.__version__
        return {
            "kind": "gymnasium",
            "game": self.slug,
            "env_id": self.env_id,
            "registered": registered,
            "frame_skip": self.frame_skip,
            "max_episode_decisions": self.max_episode_decisions or spec.max_episode_steps,
            "life_loss_terminal": self.life_loss_terminal,
            "observation": f"{self.height}x{self.width} grey",
            **versions,
        }

    def _make(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        # A limit of one's own replaces the registered one, which might be shorter: -1 lifts that.
        limit = None if self.max_episode_decisions is None else -1
        try:
            return gymnasium.make(
                self.env_id,
                render_mode=render_mode,
                max_episode_steps=limit,
                disable_env_checker=True,
            )
        except (gymnasium.error.Error, ImportError) as reason:
            raise _unknown(self.env_id, reason) from reason


def _unknown(env_id: str, reason: Exception) -> QcadeError:
    known = env_id in gymnasium.registry
    unavailable = (gymnasium.error.DependencyNotInstalled, ImportError)
    if known or isinstance(reason, unavailable):
        return QcadeError(f"Gymnasium cannot make {env_id}: {reason}")
    near = difflib.get_close_matches(env_id, gymnasium.registry, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "check the spelling."
    return QcadeError(
        f'Gymnasium knows no environment "{env_id}": {hint} '
        'If another package registers it, name that too, as in "package:Name-v0"'
    )


def _require_playable(env_id: str, environment: gymnasium.Env[Any, Any]) -> None:
    actions = environment.action_space
    if not isinstance(actions, spaces.Discrete):
        raise QcadeError(
            f"{env_id} has the actions {actions}, and these agents choose from a list "
            "(a Discrete space): wrap it, or choose another environment"
        )
    seen = environment.observation_space
    if not isinstance(seen, spaces.Box) or seen.dtype != np.uint8 or not _is_image(seen.shape):
        raise QcadeError(
            f"{env_id} shows {seen}, and these agents look at single uint8 images, "
            "HxW, HxWx1 or HxWx3, which are stacked here: choose an environment that shows them"
        )


def _is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
