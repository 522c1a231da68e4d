"""Evaluation: whole games under a stated protocol, and scores that carry it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qcade.agent.actor import Actor
from qcade.agent.agent import Agent
from qcade.checks import check_part
from qcade.games.scores import human_normalized, published
from qcade.parts import Game
from qcade.replay.frames import FrameRing, no_actions
from qcade.runs.directory import package_versions
from qcade.training.episodes import EpisodeTracker
from qcade.training.events import Advanced, EpisodeEnded, Event, Started
from qcade.training.seeding import apply_seedings, seedings_at_start
from qcade.types import JSON, QcadeError

MOST_ENVIRONMENTS = 8


@dataclass(frozen=True)
class Evaluation:
    """Scores of whole games and the protocol that they were played under."""

    scores: tuple[float, ...]
    """Raw scores, in the order of environments."""
    lengths_decisions: tuple[int, ...]
    """Decisions of each game."""
    protocol: dict[str, JSON]
    """Everything a score depends on; results with different protocols must not be compared."""
    game: str
    """The game's name in score tables."""

    def to_json(self) -> dict[str, JSON]:
        """Summarise as JSON: mean, median, spread, human-normalised and published scores."""
        mean = statistics.fmean(self.scores)
        others: dict[str, JSON] = dict(published(self.game))
        return {
            "game": self.game,
            "episodes": len(self.scores),
            "mean": mean,
            "median": statistics.median(self.scores),
            "std": statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0,
            "min": min(self.scores),
            "max": max(self.scores),
            "human_normalized": human_normalized(self.game, mean),
            "published": others,
            "scores": list(self.scores),
            "lengths_decisions": list(self.lengths_decisions),
            "protocol": self.protocol,
        }


def evaluation_game(game: Game, changes: dict[str, JSON]) -> Game:
    """The game as evaluated; QcadeError if it has no such setting, or not of that value."""
    assert dataclasses.is_dataclass(game)
    known = {item.name for item in dataclasses.fields(game)}
    for name in changes:
        if name not in known:
            raise QcadeError(f"{type(game).__name__} games have no setting {name}: leave it out")
    changed = dataclasses.replace(game, **changes)
    check_part(changed, "game")
    return changed


def environments_for(episodes: int) -> int:
    """How many games an evaluation plays side by side."""
    return min(episodes, MOST_ENVIRONMENTS)


def evaluate(
    agent: Agent,
    game: Game,
    episodes: int,
    epsilon: float,
    seed: int,
    progress: Callable[[int], None] = lambda finished: None,
    record: Callable[[Event], None] = lambda event: None,
) -> Evaluation:
    """Play whole games; every environment plays a number of them that was fixed before.

    (Counting the first games to end, whichever they are, would favour short ones.) `record` is
    given what a tape needs.
    """
    count = environments_for(episodes)
    quota = [episodes // count + (i < episodes % count) for i in range(count)]
    entropy = np.random.SeedSequence((seed, len("evaluation"))).generate_state(1)
    environments = game.open(count, int(entropy[0]), agent.hardware.threads)
    actor = Actor(agent.network, agent.actions, agent.hardware, seed)
    stack, height, width = agent.observation_shape
    ring = FrameRing(stack, count, height, width, stack, agent.hardware.device)
    tracker = EpisodeTracker(count)
    played: list[list[tuple[float, int]]] = [[] for _ in range(count)]
    try:
        seedings = seedings_at_start(0, count, seed)
        step = apply_seedings(environments, environments.reset(), seedings)
        tracker.track(step)
        ring.append(step, no_actions(count))
        record(Started(0, seedings))
        while any(len(games) < wanted for games, wanted in zip(played, quota, strict=True)):
            actions = actor.act(ring.newest(), epsilon)
            environments.send(actions)
            step = environments.recv()
            ring.append(step, actions)
            finished = tracker.track(step)
            frames = tracker.row * count * game.frames_per_decision
            record(Advanced(frames, 0, epsilon, actions, ()))
            for ended in finished:
                games = played[ended.environment]
                if len(games) < quota[ended.environment]:
                    games.append((ended.score, ended.length_decisions))
                    number = sum(map(len, played))
                    record(
                        EpisodeEnded(
                            frames,
                            number,
                            ended.environment,
                            ended.first_row,
                            ended.score,
                            ended.length_decisions,
                            ended.frames_crc,
                            epsilon,
                        )
                    )
                    progress(number)
    finally:
        environments.close()
    protocol: dict[str, JSON] = {
        **game.protocol(),
        "scores": "whole games, raw points",
        "epsilon": epsilon,
        "episodes": episodes,
        "seed": seed,
        "qcade": package_versions()["qcade"],
    }
    flat = [game for games in played for game in games]
    return Evaluation(
        tuple(score for score, _ in flat), tuple(length for _, length in flat), protocol, game.slug
    )
