"""Evaluating a run's agent, during or after its training, and saving the result in the run."""

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
from qcade.compute.cores import available_cores
from qcade.events import Evaluated
from qcade.files.new_folder import first_free_folder
from qcade.files.whole import write_json, writing_to
from qcade.games.opening import open_game
from qcade.parts import Game
from qcade.play.evaluation import (
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
from qcade.recipe import Recipe
from qcade.runs.layout import RESULT_FILE
from qcade.runs.loading import load_agent
from qcade.runs.reading.evaluations import RESULT_FORMAT
from qcade.runs.reading.run import Run, open_run
from qcade.tape.format import TapeWriter
from qcade.training.parts import Training
from qcade.types import JSON, Count, Positive, Probability, QcadeError

SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """The settings of an evaluation."""

    episodes: int
    """Number of whole games to play."""
    epsilon: float
    """Probability of a random action."""
    seed: int
    """Seed of everything random in the games."""
    checkpoint: str
    """newest, best or a frame number."""
    changes: dict[str, JSON]
    """Settings of the game that differ from training."""
    player: Literal["agent", "random"] = "agent"
    """Who plays: the trained agent, or a player whose actions are all random."""
    rom: Path | None = None
    """Current path of the run's ROM; None to search for it by its checksum."""


def evaluate_run(
    run: Path, request: EvaluationRequest, quiet: bool, console: Console
) -> tuple[dict[str, JSON], Path]:
    """Evaluate a run's agent; return the result and the file in the run that it was written to."""
    check_value(request.episodes, Positive, "--episodes")
    check_value(request.epsilon, Probability, "--epsilon")
    check_value(request.seed, Count, "--seed")
    directory = open_run(run, request.rom)
    if request.player == "random":
        recipe, frames = directory.recipe(), 0
        game = evaluation_game(recipe.game, request.changes)
        player = _random_player(recipe, game, request.seed)
    else:
        checkpoint = directory.choose_checkpoint(request.checkpoint)
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


def evaluate_training(directory: Run, training: Training, check: Callable[[], None]) -> Evaluated:
    """Evaluate the current agent under its recipe's protocol, without changing the training.

    `check` is called after every decision, and may raise to end the evaluation.
    """
    recipe = training.recipe
    settings = recipe.evaluation
    weights = {k: v.detach().clone() for k, v in training.learner.network.state_dict().items()}
    # A copy: evaluating the training network itself could change the state of some layers.
    agent = Agent(recipe, weights, training.actor.actions)
    try:
        evaluation, folder = _evaluate(
            directory,
            training.frames,
            agent_player(agent, settings.epsilon, settings.seed),
            evaluation_game(recipe.game, {}),
            settings.episodes,
            settings.seed,
            lambda progress: check(),
        )
        result, _ = _write(directory, recipe, training.frames, evaluation, folder)
    except QcadeError as error:
        # The caller handles a full disk itself, and saves the run first.
        raise error.__cause__ if isinstance(error.__cause__, OSError) else error from None
    return Evaluated(
        frames=training.frames,
        episodes=settings.episodes,
        cut=evaluation.count("cut", "stuck"),
        mean=float(str(result["mean"])),
        median=float(str(result["median"])),
    )


def _random_player(recipe: Recipe, game: Game, seed: int) -> Player:
    environments = open_game(game, 1, 0, 1)
    actions = len(environments.action_meanings)
    environments.close()
    shape = (recipe.stack, *recipe.game.frame_shape)
    return random_player(shape, actions, available_cores(), seed)


def _evaluate(
    directory: Run,
    frames: int,
    player: Player,
    game: Game,
    episodes: int,
    seed: int,
    progress: Callable[[EvaluationProgress], None],
) -> tuple[Evaluation, Path]:
    now = datetime.datetime.now(datetime.UTC)
    prefix = "random" if player.name == "random" else f"{frames:012d}"
    with writing_to(directory.evaluations):
        folder = first_free_folder(directory.evaluations, f"{prefix}-{now:%Y%m%dT%H%M%S%f}")
        with _tape(folder, game, episodes) as tape:
            record = tape.write if tape else lambda event: None
            return evaluate(player, game, episodes, seed, Watcher(progress, record)), folder


def _write(
    directory: Run, recipe: Recipe, frames: int, evaluation: Evaluation, folder: Path
) -> tuple[dict[str, JSON], Path]:
    result: dict[str, JSON] = {
        "format": RESULT_FORMAT,
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
    """Open the tape of an evaluation; None if the game cannot be re-emulated."""
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
    """Show a bar in a terminal, and a line every ten seconds elsewhere."""
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
