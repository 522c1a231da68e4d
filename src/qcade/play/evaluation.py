"""Evaluation: whole games under a stated protocol, which is stored with the scores."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from qcade.agent.actor import Actor
from qcade.agent.agent import Agent
from qcade.checks import check_part
from qcade.compute.hardware import torch_threads
from qcade.events import Advanced, Episode, Event, Started
from qcade.files.package_versions import package_versions
from qcade.games.opening import open_game, without_life_losses
from qcade.games.scores import human_normalized, published
from qcade.parts import Game
from qcade.play.session import RunSeeds, Session
from qcade.replay.frames import FrameRing
from qcade.types import JSON, BoolArray, FloatArray, IntArray, QcadeError, TimeStep

MOST_ENVIRONMENTS = 8
STUCK_FRAMES = 18_000
"""A truncated game counts as stuck if its last five minutes of play had no points."""

Ending: TypeAlias = Literal["whole", "cut", "stuck"]


class Player(NamedTuple):
    """The player: a trained agent or a random policy."""

    name: Literal["agent", "random"]
    """Kind of player, stored with every result."""
    act: Callable[[Tensor], IntArray]
    """Maps observations, uint8 [E, S, H, W], to actions, int64 [E]."""
    observation_shape: tuple[int, int, int]
    """S, H and W."""
    device: torch.device
    """The device for observations."""
    threads: int
    """CPU threads for the emulators."""
    epsilon: float
    """Probability of a random action."""


def agent_player(agent: Agent, epsilon: float, seed: int) -> Player:
    """Make a player from a trained agent, with random actions at probability `epsilon`."""
    hardware = agent.hardware
    actor = Actor(agent.network, agent.actions, hardware, seed)

    def act(observations: Tensor) -> IntArray:
        with torch_threads(hardware.threads):
            return actor.act(observations, epsilon)

    return Player(
        "agent",
        act,
        agent.observation_shape,
        hardware.device,
        hardware.threads,
        epsilon,
    )


def random_player(
    observation_shape: tuple[int, int, int], actions: int, threads: int, seed: int
) -> Player:
    """Make a player that chooses every action with equal probability."""
    randomness = np.random.default_rng((seed, len("random player")))
    return Player(
        "random",
        lambda observations: randomness.integers(actions, size=len(observations)),
        observation_shape,
        torch.device("cpu"),
        threads,
        1.0,
    )


class PlayedGame(NamedTuple):
    """One game of an evaluation."""

    score: float
    """Sum of raw rewards."""
    length_decisions: int
    """Decisions from the reset to the end."""
    ending: Ending
    """Whether it ended by itself (whole) or was truncated (cut, or stuck if it had no points)."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of games, with the protocol under which they were played."""

    games: tuple[PlayedGame, ...]
    """The games, in the order of environments."""
    protocol: dict[str, JSON]
    """Everything that scores depend on; only results with equal protocols are comparable."""
    game: str
    """The game's name in score tables."""

    @property
    def scores(self) -> tuple[float, ...]:
        """Raw scores, in the order of environments."""
        return tuple(game.score for game in self.games)

    @property
    def lengths_decisions(self) -> tuple[int, ...]:
        """Length of each game in decisions."""
        return tuple(game.length_decisions for game in self.games)

    def count(self, *endings: Ending) -> int:
        """Number of games that ended in one of these ways."""
        return sum(game.ending in endings for game in self.games)

    def to_json(self) -> dict[str, JSON]:
        """Summarise as JSON: mean, median, spread, human-normalised and published scores."""
        mean = statistics.fmean(self.scores)
        # Humans and published agents played the default mode and difficulty.
        is_default = self.protocol.keys().isdisjoint({"mode", "difficulty"})
        others: dict[str, JSON] = dict(published(self.game)) if is_default else {}
        return {
            "game": self.game,
            "episodes": len(self.scores),
            "whole": self.count("whole"),
            "cut": self.count("cut", "stuck"),
            "stuck": self.count("stuck"),
            "mean": mean,
            "median": statistics.median(self.scores),
            "std": statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0,
            "min": min(self.scores),
            "max": max(self.scores),
            "human_normalized": human_normalized(self.game, mean) if is_default else None,
            "published": others,
            "scores": list(self.scores),
            "lengths_decisions": list(self.lengths_decisions),
            "endings": [game.ending for game in self.games],
            "protocol": self.protocol,
        }


def evaluation_game(game: Game, changes: dict[str, JSON]) -> Game:
    """Return the game with changed settings; QcadeError for an unknown setting or a wrong value.

    For games that count decisions, a limit on frames becomes a limit on decisions. Episodes without
    any limit are limited to half an hour of play.
    """
    assert dataclasses.is_dataclass(game)
    known = {item.name for item in dataclasses.fields(game)}
    frames = changes.get("max_episode_frames")
    if "max_episode_frames" not in known and "max_episode_decisions" in known and frames:
        decisions = max(1, int(str(frames)) // game.frames_per_decision)
        others = {k: v for k, v in changes.items() if k != "max_episode_frames"}
        changes = {**others, "max_episode_decisions": decisions}
    for name in changes:
        if name not in known:
            raise QcadeError(f"{type(game).__name__} games have no setting {name}: leave it out")
    changed = dataclasses.replace(game, **changes)
    check_part(changed, "game")
    return changed.capped()


def environments_for(episodes: int) -> int:
    """How many games an evaluation plays in parallel."""
    return min(episodes, MOST_ENVIRONMENTS)


@dataclass(frozen=True)
class EvaluationProgress:
    """Progress of an evaluation."""

    games: int
    """Games that have ended."""
    decisions: int
    """Decisions of all environments."""


class Watcher(NamedTuple):
    """Callbacks of an evaluation."""

    progress: Callable[[EvaluationProgress], None] = lambda progress: None
    """Called after every decision; may raise to stop the evaluation."""
    record: Callable[[Event], None] = lambda event: None
    """Called with the events that a tape records."""


UNWATCHED = Watcher()


def evaluate(
    player: Player, game: Game, episodes: int, seed: int, watcher: Watcher = UNWATCHED
) -> Evaluation:
    """Play `episodes` games; how many each environment plays is fixed beforehand.

    (Counting whichever games end first would favour short ones.)
    """
    count = environments_for(episodes)
    quota = [episodes // count + (i < episodes % count) for i in range(count)]
    entropy = np.random.SeedSequence((seed, len("evaluation"))).generate_state(1)
    stack, height, width = player.observation_shape
    environments = open_game(without_life_losses(game), count, int(entropy[0]), player.threads)
    ring = FrameRing(stack, count, height, width, stack, player.device)
    session, endings = Session(environments, count, ring), _Endings(count, game.frames_per_decision)
    played: list[list[PlayedGame]] = [[] for _ in range(count)]
    try:
        row = session.open(RunSeeds(seed, count).at_start)
        endings.track(row.step)
        watcher.record(Started(0, row.seedings))
        while any(len(games) < wanted for games, wanted in zip(played, quota, strict=True)):
            session.send(player.act(ring.newest()))
            row = session.receive()
            decisions = row.number * count
            frames = decisions * game.frames_per_decision
            watcher.record(
                Advanced(
                    frames=frames,
                    updates=0,
                    epsilon=player.epsilon,
                    actions=row.actions,
                    seedings=(),
                )
            )
            for ended in row.ended:
                games = played[ended.environment]
                if len(games) < quota[ended.environment]:
                    ending = endings.of(ended.environment)
                    games.append(PlayedGame(ended.score, ended.length_decisions, ending))
                    watcher.record(
                        Episode(
                            **ended._asdict(),
                            episode=sum(map(len, played)),
                            frames=frames,
                            epsilon=player.epsilon,
                        )
                    )
            endings.track(row.step)
            watcher.progress(EvaluationProgress(sum(map(len, played)), decisions))
    finally:
        session.close()
    chance: dict[str, JSON] = {"player": "random"} if player.name == "random" else {}
    protocol: dict[str, JSON] = {
        **game.protocol(),
        "scores": "whole games, raw points",
        "epsilon": player.epsilon,
        "episodes": episodes,
        "seed": seed,
        "qcade": package_versions()["qcade"],
        **chance,
    }
    return Evaluation(tuple(g for games in played for g in games), protocol, game.slug)


class _Endings:
    """Tracks how the games in E environments end."""

    def __init__(self, environments: int, frames_per_decision: int) -> None:
        self._frames_per_decision = frames_per_decision
        self._terminated: BoolArray = np.zeros(environments, np.bool_)
        self._scoreless_rows: FloatArray = np.zeros(environments, np.float32)

    def track(self, step: TimeStep) -> None:
        """Record a row, after calling `of` for the games that ended with it."""
        self._terminated = step.discount == 0
        scoreless = (step.reward == 0) & ~step.first
        self._scoreless_rows = np.where(scoreless, self._scoreless_rows + 1, 0).astype(np.float32)

    def of(self, environment: int) -> Ending:
        """How an environment's game ended, if the last recorded row was its last."""
        if self._terminated[environment]:
            return "whole"
        scoreless_frames = self._scoreless_rows[environment] * self._frames_per_decision
        return "stuck" if scoreless_frames >= STUCK_FRAMES else "cut"
