"""Trainings whose steps a benchmark makes itself, put together as `qcade train` does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from qcade.compute.hardware import keep_freed_memory, torch_threads
from qcade.recipe import Recipe
from qcade.training.loop import Runners, make_updates, reset_if_due
from qcade.training.parts import Training
from qcade.training.plan import build_training, plan_training


@contextlib.contextmanager
def training_of(recipe: Recipe) -> Iterator[Training]:
    """Put a run together, compute on its threads, and free its emulators in the end."""
    keep_freed_memory()
    training = build_training(plan_training(recipe))
    try:
        with torch_threads(training.hardware.threads):
            yield training
    finally:
        training.close()


def make_next_updates(training: Training, runners: Runners, most: int = 1) -> int:
    """Make the next updates that have nothing to do in between, up to `most`; return how many."""
    clock = training.clock
    training.learner.set_learning_rate(training.progress)
    plans = training.source.next_plans(clock, most)
    make_updates(training, runners, plans)
    clock.updates += len(plans)
    training.learner.update_target(clock.updates)
    reset_if_due(training, runners)
    return len(plans)
