"""Milliseconds per update of every recipe on Pong: python benchmarks/updates.py

All recipes are measured in one process, in turns, so that what else the machine does hits all of
them alike; each has as many threads as in a run, which spin as OpenMP does by default. Memory is
filled with random play first. Nothing else should run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections import deque
from pathlib import Path

import numpy as np
import torch

from qcade.compute.hardware import describe_processor, keep_freed_memory
from qcade.doctor.counting import batch_size, updates_per_decision
from qcade.recipe import Recipe, ReplayRecipe
from qcade.recipes import make_recipe, recipe_names
from qcade.training.loop import Runners, make_runners, open_games
from qcade.training.parts import Training
from qcade.training.plan import build_training, plan_training

from trainings import make_next_updates

FILLED_DECISIONS = 4_096
TURN_MILLISECONDS = 250


def filled(recipe: Recipe) -> Training:
    """Build a training whose memory holds random play."""
    if isinstance(recipe, ReplayRecipe):
        recipe = dataclasses.replace(
            recipe,
            replay=dataclasses.replace(recipe.replay, capacity=2 * FILLED_DECISIONS),
            updates=dataclasses.replace(recipe.updates, start_frames=0),
        )
    keep_freed_memory()
    training = build_training(plan_training(recipe))
    torch.set_num_threads(training.hardware.threads)
    open_games(training)
    randomness, actions = np.random.default_rng(1), training.actor.actions
    for _ in range(-(-FILLED_DECISIONS // recipe.environments)):
        _value_newest(training)
        training.session.send(randomness.integers(actions, size=recipe.environments))
        training.session.receive()
    _value_newest(training)
    return training


def _value_newest(training: Training) -> None:
    """Let a rollout have the values of its newest observations; nothing is learned from it yet."""
    if training.source.needs_q_values:
        values = training.actor.q_values(training.ring.newest())
        deque(training.source.due(training.clock, values), maxlen=0)


def one_update(training: Training, runners: Runners) -> float:
    """Make one update; return its milliseconds."""
    started = time.perf_counter()
    make_next_updates(training, runners)
    if training.hardware.device.type == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - started)


def turn(training: Training, runners: Runners) -> list[float]:
    """Make updates for a quarter of a second, at least one; return the milliseconds of each.

    Where another would not take long, the first is left out: it finds the caches filled with what
    another recipe left there, as no update of a run does.
    """
    torch.set_num_threads(training.hardware.threads)
    timings = [one_update(training, runners)]
    if timings[0] < TURN_MILLISECONDS:
        timings.clear()
    while not timings or sum(timings) < TURN_MILLISECONDS:
        timings.append(one_update(training, runners))
    return timings


def main() -> None:
    """Measure in turns; print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=recipe_names())
    parser.add_argument("--rounds", type=int, default=7, help="turns of each recipe")
    parser.add_argument("--out", type=Path, help="JSON of all timings")
    words = parser.parse_args()
    names = list(dict.fromkeys(["dqn", *words.recipes]))
    recipes = {name: make_recipe(name, "pong") for name in names if name != "catch"}
    timings: dict[str, list[float]] = {name: [] for name in recipes}
    trainings = {name: filled(recipe) for name, recipe in recipes.items()}
    runners = {name: make_runners(training) for name, training in trainings.items()}
    for name, training in trainings.items():
        turn(training, runners[name])
    for _ in range(words.rounds):
        for name, training in trainings.items():
            timings[name].append(statistics.median(turn(training, runners[name])))
    hardware = trainings["dqn"].hardware
    print(f"{describe_processor()}; {hardware.device}, {hardware.precision}; ", end="")
    print(f"torch {torch.__version__}; {words.rounds} turns\n")
    print(
        "| recipe | batch | threads | ms an update | against `dqn` | updates a decision "
        "| ms a decision |"
    )
    print("|---|---|---|---|---|---|---|")
    base = statistics.median(timings["dqn"])
    for name, recipe in recipes.items():
        median, often = statistics.median(timings[name]), updates_per_decision(recipe)
        batch, threads = batch_size(recipe), trainings[name].hardware.threads
        print(
            f"| `{name}` | {batch} | {threads} | {median:.1f} | {median / base:.2f} "
            f"| {often:.4g} | {median * often:.2f} |"
        )
    if words.out is not None:
        words.out.write_text(json.dumps(timings, indent=1))


if __name__ == "__main__":
    main()
