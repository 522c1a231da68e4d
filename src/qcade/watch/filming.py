"""Filming a game of a run's agent.

A game that can be re-emulated is played first and filmed afterwards, at full size and with every
frame; any other game is filmed while it is played.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qcade.agent.actor import Actor
from qcade.agent.agent import Agent
from qcade.checks import check_value
from qcade.compute.hardware import torch_threads
from qcade.games.opening import open_game, without_life_losses
from qcade.games.seeds import environment_seeds
from qcade.parts import Environments, Game
from qcade.play.session import Session
from qcade.replay.frames import FrameRing
from qcade.runs.loading import load_agent
from qcade.runs.reading.run import open_run
from qcade.types import Count, FloatArray, Positive, Probability, QcadeError, UInt8Array
from qcade.watch.sizes import Canvas
from qcade.watch.strips import figures_strip
from qcade.watch.video_file import VideoFile, pictures_within, video_format


@dataclass(frozen=True, kw_only=True)
class VideoRequest:
    """The settings of a video."""

    out: Path | None
    """The file; None for one in the run's videos folder."""
    checkpoint: str
    """newest, best or a frame number."""
    epsilon: float
    """Probability of a random action."""
    seed: int
    """Seed of everything random in the game."""
    seconds: int
    """Longest duration of the video, in seconds."""
    overlay: bool
    """Whether to show figures below the picture."""
    rom: Path | None = None
    """Current path of the run's ROM; None to search for it by its checksum."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A video that was written."""

    path: Path
    """The file."""
    game: str
    """Name of the game."""
    seconds: float
    """Duration in seconds."""
    score: float
    """Sum of raw rewards."""
    is_whole: bool
    """Whether the game is shown to its end."""


class PlayedStep(NamedTuple):
    """A decision of the agent and its result."""

    action: int
    """The action that was chosen."""
    q_values: FloatArray
    """The Q-values it was chosen by: float32 [A]."""
    reward: float
    """Raw reward."""
    is_last: bool
    """Whether the game ended, and was not cut."""


def film_run(run: Path, request: VideoRequest) -> Film:
    """Play one game with a run's agent and write it as a video.

    Raises QcadeError if the game cannot be filmed because it differs when it is re-emulated.
    """
    check_value(request.seconds, Positive, "--seconds")
    check_value(request.epsilon, Probability, "--epsilon")
    check_value(request.seed, Count, "--seed")
    directory = open_run(run, request.rom)
    checkpoint = directory.choose_checkpoint(request.checkpoint)
    agent = load_agent(run, checkpoint.name, request.rom)
    game = without_life_losses(agent.recipe.game)
    name = f"evaluation-{checkpoint.name}-seed{request.seed}.mp4"
    path = request.out or directory.videos / name
    canvas = Canvas(video_format(path).least_width)
    rate = game.pictures_per_second
    most_pictures = pictures_within(request.seconds, rate)
    meanings = _action_meanings(game)
    pictures, score, is_whole = 0, 0.0, False
    with VideoFile(path, rate) as file:
        for number, (played, shown) in enumerate(_filmed(agent, game, request, most_pictures), 1):
            score += played.reward
            text = f"{game.slug.replace('_', ' ')}   score {score:,.0f}   step {number:,}"
            strip: UInt8Array | None = None
            for picture in shown:
                large = canvas.show(picture)
                if request.overlay:
                    if strip is None:
                        values = played.q_values.tolist()
                        strip = figures_strip(large.shape[1], text, values, meanings, played.action)
                    large = np.concatenate((large, strip))
                file.add(large)
                pictures += 1
            is_whole = played.is_last
            if pictures >= most_pictures:
                break
    return Film(path=path, game=game.slug, seconds=pictures / rate, score=score, is_whole=is_whole)


def play_one(
    agent: Agent, environments: Environments, seed: int, epsilon: float
) -> Iterator[PlayedStep]:
    """Play the first episode of one environment until it ends or is cut; yield its decisions."""
    stack, height, width = agent.observation_shape
    actor = Actor(agent.network, agent.actions, agent.hardware, seed)
    ring = FrameRing(stack, 1, height, width, stack, agent.hardware.device)
    session = Session(environments, 1, ring)
    row = session.open()
    while row.step.discount[0]:
        observation = ring.newest()
        with torch_threads(agent.hardware.threads):
            session.send(actor.act(observation, epsilon))
            values = actor.q_values(observation)[0].cpu().numpy()
        row = session.receive()
        _, reward, discount, first = row.step
        if first[0]:
            return
        yield PlayedStep(int(row.actions[0]), values, float(reward[0]), not discount[0])


def _filmed(
    agent: Agent, game: Game, request: VideoRequest, most_decisions: int
) -> Iterator[tuple[PlayedStep, list[UInt8Array]]]:
    """Yield each decision of a game with its pictures, uint8 [height, width, 3]."""
    live = game.open_filmed(request.seed)
    if live is not None:
        with contextlib.closing(live):
            for played in play_one(agent, live, request.seed, request.epsilon):
                yield played, [live.picture()]
        return
    environments = open_game(game, 1, request.seed, 1)
    with contextlib.closing(environments):
        whole = play_one(agent, environments, request.seed, request.epsilon)
        steps = [*itertools.islice(whole, most_decisions)]
    seed = int(environment_seeds(request.seed, 1)[0])
    filmed = game.film(seed, [played.action for played in steps])
    # A game that ignores its seed, or a film that ends early, differs from what was played.
    for number, (played, shown) in enumerate(itertools.zip_longest(steps, filmed), 1):
        if played is None or shown is None or shown.first or shown.reward != played.reward:
            raise QcadeError(
                f"{game.slug} cannot be filmed: played again from its seed, it differs from "
                f"decision {number:,} on, although the game is marked as replayable"
            )
        yield played, shown.pictures


def _action_meanings(game: Game) -> tuple[str, ...]:
    with contextlib.closing(open_game(game, 1, 0, 1)) as environments:
        return environments.action_meanings
