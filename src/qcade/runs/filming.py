"""Filming a game of a run's agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcade.agent.actor import Actor
from qcade.agent.agent import Agent
from qcade.checks import check_value
from qcade.games.seeds import environment_seeds
from qcade.replay.frames import FrameRing, no_actions
from qcade.runs.directory import open_run
from qcade.runs.loading import choose_checkpoint, load_agent
from qcade.training.episodes import EpisodeTracker
from qcade.types import Count, FloatArray, Positive, Probability
from qcade.video import VideoFile, enlarge, figures_strip, video_format


@dataclass(frozen=True)
class VideoRequest:
    """What is wanted of a video."""

    out: Path | None
    """The file, or None for the run's own folder."""
    checkpoint: str
    """newest, best or a frame number."""
    epsilon: float
    """Probability of a random action."""
    seed: int
    """Which game."""
    seconds: int
    """The longest video."""
    overlay: bool
    """Whether figures are shown below the picture."""


@dataclass(frozen=True)
class Film:
    """A video that was written."""

    path: Path
    game: str
    seconds: float
    score: float
    is_whole: bool


@dataclass(frozen=True)
class PlayedGame:
    """One game, as its decisions."""

    actions: list[int]
    q_values: list[FloatArray]
    score: float
    is_whole: bool


def film_run(run: Path, request: VideoRequest) -> Film:
    """Play one game with a run's agent and write it as a video."""
    check_value(request.seconds, Positive, "--seconds")
    check_value(request.epsilon, Probability, "--epsilon")
    check_value(request.seed, Count, "--seed")
    directory = open_run(run)
    checkpoint = choose_checkpoint(directory, request.checkpoint)
    agent = load_agent(run, checkpoint.name)
    game = agent.recipe.game
    name = f"evaluation-{checkpoint.name}-seed{request.seed}.mp4"
    path = request.out or directory.videos / name
    environments = game.open(1, request.seed, 1)
    meanings = environments.action_meanings
    environments.close()
    width = video_format(path).least_width
    pictures = 0
    score = 0.0
    with VideoFile(path, game.pictures_per_second) as file:
        most_decisions = round(request.seconds * game.pictures_per_second)
        played = play_one(agent, request.seed, request.epsilon, most_decisions)
        filmed = game.film(int(environment_seeds(request.seed, 1)[0]), played.actions)
        steps = zip(filmed, played.actions, played.q_values, strict=False)
        for number, (step, action, q_values) in enumerate(steps, 1):
            score += step.reward
            text = f"{game.slug.replace('_', ' ')}   score {score:,.0f}   step {number:,}"
            strip: np.ndarray | None = None
            for picture in step.pictures:
                large = enlarge(picture, width)
                if request.overlay:
                    if strip is None:
                        strip = figures_strip(
                            large.shape[1], text, q_values.tolist(), meanings, action
                        )
                    large = np.concatenate((large, strip))
                file.add(large)
                pictures += 1
            if pictures >= request.seconds * game.pictures_per_second:
                break
    whole = played.is_whole and number == len(played.actions)
    return Film(path, game.slug, pictures / game.pictures_per_second, score, whole)


def play_one(agent: Agent, seed: int, epsilon: float, most_decisions: int) -> PlayedGame:
    """Play the first episode of `open(1, seed)` to its end, or to a number of decisions."""
    stack, height, width = agent.observation_shape
    environments = agent.recipe.game.open(1, seed, 1)
    actor = Actor(agent.network, agent.actions, agent.hardware, seed)
    ring = FrameRing(stack, 1, height, width, stack, agent.hardware.device)
    tracker = EpisodeTracker(1)
    played = PlayedGame([], [], 0.0, False)
    try:
        step = environments.reset()
        tracker.track(step)
        ring.append(step, no_actions(1))
        while len(played.actions) < most_decisions:
            observation = ring.newest()
            actions = actor.act(observation, epsilon)
            environments.send(actions)
            values = actor.q_values(observation)[0].cpu().numpy()
            step = environments.recv()
            ended = tracker.track(step)
            if ended:
                return PlayedGame(played.actions, played.q_values, ended[0].score, True)
            ring.append(step, actions)
            played.actions.append(int(actions[0]))
            played.q_values.append(values)
    finally:
        environments.close()
    return played
