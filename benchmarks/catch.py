"""How soon each recipe solves Catch: python benchmarks/catch.py [--recipes NAME...] [--seeds N...]

Solved means: 100 greedy games with a mean of at least 0.95, looked at every 500 frames.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

from qcade.agent.agent import Agent
from qcade.events import Advanced
from qcade.play.evaluation import agent_player, evaluate
from qcade.recipe import Recipe
from qcade.recipes import make_recipe, recipe_names
from qcade.training.loop import run
from qcade.training.parts import Training
from qcade.training.snapshot import take_snapshot

from trainings import training_of

GAMES, SOLVED_MEAN, LOOK_PERIOD_FRAMES = 100, 0.95, 500


class Attempt(NamedTuple):
    """One run, up to its solution or the end of its budget."""

    recipe: str
    seed: int
    solved_frames: int | None
    """Frames until it was first seen to be solved."""
    budget_frames: int
    mean: float
    """Mean score of the last look."""
    updates: int
    seconds: float


def attempt(recipe: Recipe) -> Attempt:
    """Train until Catch is solved or the recipe's frames are used up."""
    started, mean, solved = time.monotonic(), -1.0, None
    with training_of(recipe) as training:
        for event in run(training):
            is_last = training.frames >= recipe.total_frames
            if not isinstance(event, Advanced) or not (_is_time(training) or is_last):
                continue
            if not training.clock.updates:
                continue
            agent = Agent(recipe, take_snapshot(training).weights, training.actor.actions)
            scores = evaluate(agent_player(agent, 0.0, 1_000), recipe.game, GAMES, 1_000).scores
            mean = statistics.fmean(scores)
            if mean >= SOLVED_MEAN:
                solved = training.frames
                break
    return Attempt(
        recipe.name,
        recipe.seed,
        solved,
        recipe.total_frames,
        mean,
        training.clock.updates,
        time.monotonic() - started,
    )


def _is_time(training: Training) -> bool:
    before = training.frames - training.recipe.environments
    return training.frames // LOOK_PERIOD_FRAMES > before // LOOK_PERIOD_FRAMES


def table(attempts: list[Attempt]) -> str:
    """Lay the attempts out as Markdown, a recipe a line."""
    lines = [
        "| recipe | frames to solve, each seed | median | budget | updates, median |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(each.recipe for each in attempts):
        own = [each for each in attempts if each.recipe == name]
        frames = [each.solved_frames for each in own]
        solved = [f for f in frames if f is not None]
        shown = ", ".join("not solved" if f is None else f"{f:,}" for f in frames)
        middle = f"{statistics.median_high(solved):,}" if len(solved) == len(own) else "-"
        updates = statistics.median_high(each.updates for each in own)
        lines.append(f"| `{name}` | {shown} | {middle} | {own[0].budget_frames:,} | {updates:,} |")
    return "\n".join(lines)


def main() -> None:
    """Try every recipe with every seed; print a line each, and the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=recipe_names())
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON lines of all attempts, added to")
    words = parser.parse_args()
    attempts = []
    for name in words.recipes:
        for seed in words.seeds:
            recipe = make_recipe(name, "catch")
            compute = dataclasses.replace(recipe.compute, threads=words.threads)
            found = attempt(dataclasses.replace(recipe, seed=seed, compute=compute))
            attempts.append(found)
            line = json.dumps(found._asdict())
            print(line, flush=True)
            if words.out is not None:
                with words.out.open("a") as file:
                    file.write(line + "\n")
    print(table(attempts))


if __name__ == "__main__":
    main()
