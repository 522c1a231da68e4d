"""What a run will take: from the costs of a decision to hours, memory and disk."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch

from qcade.doctor.counting import (
    count_work,
    learning_decisions,
    updates_per_decision,
)
from qcade.doctor.measuring import (
    UpdateTimes,
    build_bench,
    count_actions,
    emulators_beside,
    measure_acting,
    measure_emulators,
    measure_updates,
)
from qcade.machine import Hardware, available_cores, resolve
from qcade.recipe import OnPolicyRecipe, Recipe
from qcade.recipes.dqn import dqn
from qcade.runs.needs import predict_needs

SECONDS_AN_HOUR = 3_600
SHARE_OF_ACTING = 0.2
ENOUGH_EMULATORS = 8
HEAVY_BOXES = 3
"""An update that would take longer than so many boxes of time is not measured."""
HEAVY_MULTIPLY_ADDS = 10 * 10**9
"""An update of less is quick to measure on any machine."""


@dataclass(frozen=True)
class Costs:
    """Seconds that each part of a run takes for one decision of one environment."""

    emulating: float
    """The emulators."""
    acting: float
    """Choosing the action."""
    learning: float
    """The updates that belong to it, once there are any."""
    overlaps: bool
    """Whether emulators and updates go on at the same time without slowing each other down."""
    measured_updates: int
    """Updates that `learning` was measured on; 0 where it was worked out from multiply-adds."""
    multiply_adds: int
    """Of one update."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take on this machine."""

    recipe: str
    """The recipe's name."""
    game: str
    """What is played."""
    total_frames: int
    """Its length in emulator frames."""
    environments: int
    """Emulators side by side."""
    threads: int
    """Processor threads for each of learner and emulators."""
    precision: str
    """Arithmetic of the networks."""
    hours: float
    """From the first frame to the last; evaluations not included."""
    decisions_per_second: float
    """While it learns."""
    costs: Costs
    """Where the time goes."""
    memory_bytes: int
    """Of the frame ring and everything beside it, where they lie."""
    fits_memory: bool
    """Whether so much is free there."""
    disk_bytes: int
    """Of checkpoints and logs."""


def seconds_per_decision(costs: Costs, is_learning: bool) -> float:
    """Seconds for one decision of one environment.

    Where each has processors of its own, the slower of emulators and updates counts; where both
    want all cores, or one waits for the other, their times add up.
    """
    learning = costs.learning if is_learning else 0.0
    if costs.overlaps:
        return costs.acting + max(costs.emulating, learning)
    return costs.acting + costs.emulating + learning


def are_apart(recipe: Recipe, hardware: Hardware, cores: int) -> bool:
    """Whether emulators and updates go on at once, each on processors of their own."""
    if isinstance(recipe, OnPolicyRecipe) and not recipe.rollouts.overlap:
        return False
    if hardware.device.type != "cpu":
        return True
    return isinstance(recipe, OnPolicyRecipe) and 2 * hardware.threads <= cores


def run_seconds(recipe: Recipe, costs: Costs) -> float:
    """Seconds for a whole run."""
    decisions = recipe.total_frames // recipe.game.frames_per_decision
    learning = learning_decisions(recipe)
    return learning * seconds_per_decision(costs, is_learning=True) + (
        decisions - learning
    ) * seconds_per_decision(costs, is_learning=False)


def learning_seconds(recipe: Recipe, times: UpdateTimes) -> float:
    """Seconds of learning for one decision of one environment."""
    return times.update * updates_per_decision(recipe)


def estimate(recipe: Recipe, hardware: Hardware, costs: Costs) -> Estimate:
    """Put together what a run will take."""
    needs = predict_needs(recipe)
    return Estimate(
        recipe.name,
        recipe.game.slug,
        recipe.total_frames,
        recipe.environments,
        hardware.threads,
        str(hardware.precision).removeprefix("torch."),
        run_seconds(recipe, costs) / SECONDS_AN_HOUR,
        1.0 / seconds_per_decision(costs, is_learning=True),
        costs,
        needs.memory_bytes,
        needs.shortage() is None,
        needs.disk_bytes,
    )


def measure_costs(
    recipe: Recipe,
    hardware: Hardware,
    actions: int,
    emulator_rate: float,
    seconds: float,
    seconds_a_multiply_add: float | None = None,
) -> Costs:
    """Measure a recipe's updates and acting for about so many seconds.

    `emulator_rate` is in decisions a second, of emulators alone: where updates are made beside
    them, both are measured at once instead. Where an update would take too long, going by what a
    multiply-add takes here, its time is worked out from that instead.
    """
    work = count_work(recipe, actions)
    is_apart = are_apart(recipe, hardware, available_cores())
    heavy = work.update > HEAVY_MULTIPLY_ADDS
    if heavy and seconds_a_multiply_add is None:
        seconds_a_multiply_add = reference_speed(hardware, actions, seconds / 4)
    expected = work.update * (seconds_a_multiply_add or 0.0)
    if heavy and seconds_a_multiply_add and expected > HEAVY_BOXES * seconds:
        acting = work.acting * seconds_a_multiply_add
        times = UpdateTimes(expected, 0)
    else:
        bench = build_bench(recipe, hardware, actions)
        acting = measure_acting(bench, SHARE_OF_ACTING * seconds) / recipe.environments
        if is_apart and hardware.device.type == "cpu":
            count = _enough_emulators(recipe, hardware.threads)
            with emulators_beside(recipe.game, count, hardware.threads) as rate:
                times = measure_updates(bench, (1.0 - SHARE_OF_ACTING) * seconds)
                emulator_rate = rate()
        else:
            times = measure_updates(bench, (1.0 - SHARE_OF_ACTING) * seconds)
    return Costs(
        1.0 / emulator_rate,
        acting,
        learning_seconds(recipe, times),
        is_apart,
        times.measured_updates,
        work.update,
    )


def reference_speed(hardware: Hardware, actions: int, seconds: float) -> float:
    """Seconds that one multiply-add takes in an update of the Nature network."""
    recipe = dqn("pong")
    bench = build_bench(recipe, hardware, actions)
    return measure_updates(bench, seconds).update / count_work(recipe, actions).update


def quick_estimate(recipe: Recipe, seconds: float) -> Estimate:
    """Measure one recipe, with its own settings, for about so many seconds; estimate its run."""
    hardware = resolve(recipe.compute)
    emulators = measure_emulators_of(recipe, hardware.threads, seconds / 4)
    actions = count_actions(recipe.game)
    costs = measure_costs(recipe, hardware, actions, emulators, 3 * seconds / 4)
    if hardware.device.type == "cuda":
        # The run that follows chooses its storage by what is free.
        gc.collect()
        torch.cuda.empty_cache()
    return estimate(recipe, hardware, costs)


def measure_emulators_of(recipe: Recipe, threads: int, seconds: float) -> float:
    """Decisions a second of a recipe's emulators.

    Opening an emulator takes long, and beyond some for each thread the rate hardly changes: of
    very many only so many are opened.
    """
    count = _enough_emulators(recipe, threads)
    return measure_emulators(recipe.game, count, threads, seconds)


def _enough_emulators(recipe: Recipe, threads: int) -> int:
    return min(recipe.environments, max(ENOUGH_EMULATORS, 2 * threads))
