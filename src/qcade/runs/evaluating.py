"""Evaluating a run's agent, after or during its training, and keeping the result with the run."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress, TextColumn

from qcade.agent.agent import Agent
from qcade.checks import check_value
from qcade.evaluation import (
    Evaluation,
    EvaluationProgress,
    Player,
    Watcher,
    agent_player,
    environments_for,
    evaluate,
    evaluation_game,
    random_player,
)
from qcade.files.new_folder import first_free_folder
from qcade.files.whole import write_json, writing_to
from qcade.games.opening import open_game
from qcade.machine import available_cores
from qcade.parts import Game
from qcade.recipe import Recipe
from qcade.runs.directory import RunDirectory, open_run
from qcade.runs.loading import choose_checkpoint, load_agent
from qcade.tape.format import TapeWriter
from qcade.training.events import Evaluated
from qcade.training.state import Training
from qcade.types import JSON, Count, Positive, Probability, QcadeError

SECONDS_BETWEEN_LINES = 10.0
RESULT_FILE = "result.json"


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What is wanted of an evaluation."""

    episodes: int
    """Whole games to play."""
    epsilon: float
    """Probability of a random action."""
    seed: int
    """Everything random in the games follows from it."""
    checkpoint: str
    """newest, best or a frame number."""
    changes: dict[str, JSON]
    """Settings of the game that differ from training."""
    player: Literal["agent", "random"] = "agent"
    """Who plays: the trained agent, or chance."""
    rom: Path | None = None
    """Where the run's ROM is now; None to look for it by its checksum."""


def evaluate_run(
    run: Path, request: EvaluationRequest, quiet: bool, console: Console
) -> tuple[dict[str, JSON], Path]:
    """Evaluate, write the result into the run's folder, and return both."""
    check_value(request.episodes, Positive, "--episodes")
    check_value(request.epsilon, Probability, "--epsilon")
    check_value(request.seed, Count, "--seed")
    directory = open_run(run, request.rom)
    if request.player == "random":
        recipe, frames = directory.recipe(), 0
        game = evaluation_game(recipe.game, request.changes)
        player = _random_player(recipe, game, request.seed)
    else:
        checkpoint = choose_checkpoint(directory, request.checkpoint)
        frames = int(checkpoint.name)
        agent = load_agent(run, checkpoint.name, request.rom)
        recipe = agent.recipe
        game = evaluation_game(recipe.game, request.changes)
        player = agent_player(agent, request.epsilon, request.seed)
    with _showing_progress(console, quiet, request.episodes) as progress:
        evaluation, folder = _evaluate(
            directory, frames, player, game, request.episodes, request.seed, progress
        )
    return _write(directory, recipe, frames, evaluation, folder)


def evaluate_training(
    directory: RunDirectory, training: Training, check: Callable[[], None]
) -> Evaluated:
    """Evaluate the agent of this instant under its recipe's protocol; training is not touched.

    `check` is called after every decision, and may raise to end it.
    """
    recipe = training.recipe
    wanted = recipe.evaluation
    weights = {k: v.detach().clone() for k, v in training.learner.network.state_dict().items()}
    # Another network: evaluating with the one that learns could change what some layers keep.
    agent = Agent(recipe, weights, training.actor.actions)
    try:
        evaluation, folder = _evaluate(
            directory,
            training.frames,
            agent_player(agent, wanted.epsilon, wanted.seed),
            evaluation_game(recipe.game, {}),
            wanted.episodes,
            wanted.seed,
            lambda progress: check(),
        )
        result, _ = _write(directory, recipe, training.frames, evaluation, folder)
    except QcadeError as error:
        # A disk that is full ends a run in a way of its own, which saves it first.
        raise error.__cause__ if isinstance(error.__cause__, OSError) else error from None
    return Evaluated(
        training.frames,
        wanted.episodes,
        evaluation.count("cut", "stuck"),
        float(str(result["mean"])),
        float(str(result["median"])),
    )


def _random_player(recipe: Recipe, game: Game, seed: int) -> Player:
    environments = open_game(game, 1, 0, 1)
    actions = len(environments.action_meanings)
    environments.close()
    shape = (recipe.stack, *recipe.game.frame_shape)
    return random_player(shape, actions, available_cores(), seed)


def _evaluate(
    directory: RunDirectory,
    frames: int,
    player: Player,
    game: Game,
    episodes: int,
    seed: int,
    progress: Callable[[EvaluationProgress], None],
) -> tuple[Evaluation, Path]:
    now = datetime.datetime.now(datetime.UTC)
    who = "random" if player.name == "random" else f"{frames:012d}"
    with writing_to(directory.evaluations):
        folder = first_free_folder(directory.evaluations, f"{who}-{now:%Y%m%dT%H%M%S%f}")
        with _tape(folder, game, episodes) as tape:
            record = tape.write if tape else lambda event: None
            return evaluate(player, game, episodes, seed, Watcher(progress, record)), folder


def _write(
    directory: RunDirectory, recipe: Recipe, frames: int, evaluation: Evaluation, folder: Path
) -> tuple[dict[str, JSON], Path]:
    result: dict[str, JSON] = {
        "run": str(directory.path),
        "recipe": recipe.name,
        "checkpoint_frames": frames,
        **evaluation.to_json(),
    }
    file = folder / RESULT_FILE
    with writing_to(folder):
        write_json(file, result)
    return result, file


@contextlib.contextmanager
def _tape(folder: Path, game: Game, episodes: int) -> Iterator[TapeWriter | None]:
    """The tape of an evaluation, or None where games cannot be replayed."""
    if not game.is_replayable:
        yield None
        return
    tape = TapeWriter(folder, environments_for(episodes), game.protocol(), None)
    try:
        yield tape
        tape.flush()
    finally:
        tape.close()


@contextlib.contextmanager
def _showing_progress(
    console: Console, quiet: bool, episodes: int
) -> Iterator[Callable[[EvaluationProgress], None]]:
    """Show a bar in a terminal, and a line now and then elsewhere."""
    last_line = time.monotonic()
    with Progress(
        *Progress.get_default_columns(),
        TextColumn("{task.fields[decisions]:,} decisions"),
        console=console,
        disable=quiet or not console.is_terminal,
    ) as bar:
        task = bar.add_task("games played", total=episodes, decisions=0)

        def show(progress: EvaluationProgress) -> None:
            nonlocal last_line
            now = time.monotonic()
            if console.is_terminal:
                bar.update(task, completed=progress.games, decisions=progress.decisions)
            elif now - last_line > SECONDS_BETWEEN_LINES:
                last_line = now
                console.print(
                    f"{progress.games:,} of {episodes:,} games, {progress.decisions:,} decisions"
                )

        yield show
