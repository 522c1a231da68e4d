"""Evaluation: whole games under a stated protocol, and scores that carry it."""

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
from qcade.games.opening import open_game, without_life_losses
from qcade.games.scores import human_normalized, published
from qcade.machine import torch_threads
from qcade.parts import Game
from qcade.replay.frames import FrameRing, no_actions
from qcade.runs.directory import package_versions
from qcade.training.episodes import EpisodeTracker
from qcade.training.events import Advanced, EpisodeEnded, Event, Started
from qcade.training.seeding import apply_seedings, seedings_at_start
from qcade.types import JSON, BoolArray, FloatArray, IntArray, QcadeError, TimeStep

MOST_ENVIRONMENTS = 8
STUCK_FRAMES = 18_000
"""A cut game is called stuck if its last five minutes of play brought no points."""

Ending: TypeAlias = Literal["whole", "cut", "stuck"]


class Player(NamedTuple):
    """Who plays: a trained agent, or chance."""

    name: Literal["agent", "random"]
    """Stamped on every result."""
    act: Callable[[Tensor], IntArray]
    """From observations, uint8 [E, S, H, W], to actions, int64 [E]."""
    observation_shape: tuple[int, int, int]
    """S, H and W."""
    device: torch.device
    """Where observations are wanted."""
    threads: int
    """Processor threads for the emulators."""
    epsilon: float
    """Probability of a random action."""


def agent_player(agent: Agent, epsilon: float, seed: int) -> Player:
    """Let a trained agent play, but for a random action now and then."""
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
    """Let chance play: every action is as likely as any other."""
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
    """Whether it came to its own end, was cut by the frame cap, or was cut and stuck."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of games and the protocol that they were played under."""

    games: tuple[PlayedGame, ...]
    """In the order of environments."""
    protocol: dict[str, JSON]
    """Everything a score depends on; results with different protocols must not be compared."""
    game: str
    """The game's name in score tables."""

    @property
    def scores(self) -> tuple[float, ...]:
        """Raw scores, in the order of environments."""
        return tuple(game.score for game in self.games)

    @property
    def lengths_decisions(self) -> tuple[int, ...]:
        """Decisions of each game."""
        return tuple(game.length_decisions for game in self.games)

    def count(self, *endings: Ending) -> int:
        """Games that ended in one of these ways."""
        return sum(game.ending in endings for game in self.games)

    def to_json(self) -> dict[str, JSON]:
        """Summarise as JSON: mean, median, spread, human-normalised and published scores."""
        mean = statistics.fmean(self.scores)
        # Persons and published agents played the default mode and difficulty.
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
    """The game as evaluated; QcadeError if it has no such setting, or not of that value.

    A cap on frames is a cap on decisions for games that count those. Where nothing ends an
    episode, half an hour of play does.
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
    """How many games an evaluation plays side by side."""
    return min(episodes, MOST_ENVIRONMENTS)


@dataclass(frozen=True)
class EvaluationProgress:
    """How far an evaluation is."""

    games: int
    """Games that have ended."""
    decisions: int
    """Decisions of all environments."""


class Watcher(NamedTuple):
    """What is told of an evaluation while it is played."""

    progress: Callable[[EvaluationProgress], None] = lambda progress: None
    """After every decision; may raise to end the evaluation."""
    record: Callable[[Event], None] = lambda event: None
    """What a tape needs."""


UNWATCHED = Watcher()


def evaluate(
    player: Player, game: Game, episodes: int, seed: int, watcher: Watcher = UNWATCHED
) -> Evaluation:
    """Play games; every environment plays a number of them that was fixed before.

    (Counting the first games to end, whichever they are, would favour short ones.)
    """
    count = environments_for(episodes)
    quota = [episodes // count + (i < episodes % count) for i in range(count)]
    entropy = np.random.SeedSequence((seed, len("evaluation"))).generate_state(1)
    stack, height, width = player.observation_shape
    environments = open_game(without_life_losses(game), count, int(entropy[0]), player.threads)
    ring = FrameRing(stack, count, height, width, stack, player.device)
    tracker, endings = EpisodeTracker(count), _Endings(count, game.frames_per_decision)
    played: list[list[PlayedGame]] = [[] for _ in range(count)]
    try:
        seedings = seedings_at_start(0, count, seed)
        step = apply_seedings(environments, environments.reset(), seedings)
        tracker.track(step)
        endings.track(step)
        ring.append(step, no_actions(count))
        watcher.record(Started(0, seedings))
        while any(len(games) < wanted for games, wanted in zip(played, quota, strict=True)):
            actions = player.act(ring.newest())
            environments.send(actions)
            step = environments.recv()
            ring.append(step, actions)
            finished = tracker.track(step)
            decisions = tracker.row * count
            frames = decisions * game.frames_per_decision
            watcher.record(Advanced(frames, 0, player.epsilon, actions, ()))
            for ended in finished:
                games = played[ended.environment]
                if len(games) < quota[ended.environment]:
                    ending = endings.of(ended.environment)
                    games.append(PlayedGame(ended.score, ended.length_decisions, ending))
                    watcher.record(
                        EpisodeEnded(
                            frames,
                            sum(map(len, played)),
                            ended.environment,
                            ended.first_row,
                            ended.score,
                            ended.length_decisions,
                            ended.frames_crc,
                            player.epsilon,
                        )
                    )
            endings.track(step)
            watcher.progress(EvaluationProgress(sum(map(len, played)), decisions))
    finally:
        environments.close()
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
    """How the games that E environments play come to an end."""

    def __init__(self, environments: int, frames_per_decision: int) -> None:
        self._frames_per_decision = frames_per_decision
        self._terminated: BoolArray = np.zeros(environments, np.bool_)
        self._still: FloatArray = np.zeros(environments, np.float32)

    def track(self, step: TimeStep) -> None:
        """Take a row in, after those that it ended were asked for."""
        self._terminated = step.discount == 0
        nothing_happened = (step.reward == 0) & ~step.first
        self._still = np.where(nothing_happened, self._still + 1, 0).astype(np.float32)

    def of(self, environment: int) -> Ending:
        """How the game ended whose last row was the one before."""
        if self._terminated[environment]:
            return "whole"
        still_frames = self._still[environment] * self._frames_per_decision
        return "stuck" if still_frames >= STUCK_FRAMES else "cut"
