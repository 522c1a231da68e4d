"""Evaluating a run's agent and keeping the result beside the run."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from qcade.checks import check_value
from qcade.evaluation import environments_for, evaluate, evaluation_game
from qcade.files.whole import write_json, writing_to
from qcade.parts import Game
from qcade.runs.directory import open_run
from qcade.runs.loading import choose_checkpoint, load_agent
from qcade.tape.format import TapeWriter
from qcade.types import JSON, Count, Positive, Probability


@dataclass(frozen=True)
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


def evaluate_run(
    run: Path, request: EvaluationRequest, quiet: bool, console: Console
) -> tuple[dict[str, JSON], Path]:
    """Evaluate, write the result into the run's folder, and return both."""
    check_value(request.episodes, Positive, "--episodes")
    check_value(request.epsilon, Probability, "--epsilon")
    check_value(request.seed, Count, "--seed")
    directory = open_run(run)
    checkpoint = choose_checkpoint(directory, request.checkpoint)
    agent = load_agent(run, checkpoint.name)
    game = evaluation_game(agent.recipe.game, request.changes)
    now = datetime.datetime.now(datetime.UTC)
    folder = directory.evaluations / f"{checkpoint.name}-{now:%Y%m%dT%H%M%S%f}"
    with (
        writing_to(directory.evaluations),
        _tape(folder, game, request.episodes) as tape,
        Progress(console=console, disable=quiet or not console.is_terminal) as bar,
    ):
        task = bar.add_task("games played", total=request.episodes)
        evaluation = evaluate(
            agent,
            game,
            request.episodes,
            request.epsilon,
            request.seed,
            progress=lambda finished: bar.update(task, completed=finished),
            record=tape.write if tape else lambda event: None,
        )
    result: dict[str, JSON] = {
        "run": str(run),
        "recipe": agent.recipe.name,
        "checkpoint_frames": int(checkpoint.name),
        **evaluation.to_json(),
    }
    file = folder / "result.json"
    with writing_to(folder):
        write_json(file, result)
    return result, file


@contextlib.contextmanager
def _tape(folder: Path, game: Game, episodes: int) -> Iterator[TapeWriter | None]:
    """The tape of an evaluation, or None where games cannot be replayed."""
    folder.mkdir(parents=True)
    if not game.is_replayable:
        yield None
        return
    tape = TapeWriter(folder, environments_for(episodes), game.protocol(), None)
    try:
        yield tape
        tape.flush()
    finally:
        tape.close()
