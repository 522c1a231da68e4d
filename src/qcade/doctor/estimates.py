"""Estimates of a run: from the costs of one decision to hours, memory and disk."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch

from qcade.compute.cores import available_cores
from qcade.compute.hardware import Hardware, torch_threads
from qcade.doctor.counting import (
    count_work,
    learning_decisions,
    updates_per_decision,
)
from qcade.doctor.measuring import (
    UpdateTimes,
    build_bench,
    measure_acting,
    measure_emulators,
    measure_updates,
    play_in_background,
)
from qcade.networks.q_network import QNetwork
from qcade.parts import Environments
from qcade.recipe import OnPolicyRecipe, Recipe
from qcade.recipes.dqn import dqn
from qcade.runs.requirements import Requirements
from qcade.training.plan import TrainingPlan

SECONDS_PER_HOUR = 3_600
SHARE_OF_ACTING = 0.2
ENOUGH_EMULATORS = 8
HEAVY_BUDGETS = 3
"""An update expected to take this many times the time budget is not measured."""
HEAVY_MULTIPLY_ADDS = 10 * 10**9
"""Updates with fewer multiply-adds are quick to measure on any machine."""


@dataclass(frozen=True)
class Costs:
    """Seconds per decision of one environment, for each part of a run."""

    emulating: float
    """Running the emulators."""
    acting: float
    """Choosing the action."""
    learning: float
    """The updates per decision, once learning has started."""
    overlaps: bool
    """Whether emulators and updates run at the same time without slowing each other down."""
    measured_updates: int
    """Updates that `learning` was measured on; 0 if it was computed from multiply-adds."""
    multiply_adds: int
    """Multiply-adds of one update."""


@dataclass(frozen=True)
class Estimate:
    """What a run needs on this machine."""

    recipe: str
    """The recipe's name."""
    game: str
    """The game's name."""
    total_frames: int
    """Length of the run in emulator frames."""
    environments: int
    """Emulators that run in parallel."""
    threads: int
    """CPU threads for the learner, and as many for the emulators."""
    precision: str
    """Precision of the networks."""
    hours: float
    """Hours from the first frame to the last, without evaluations."""
    decisions_per_second: float
    """Decisions of all environments per second while learning."""
    costs: Costs
    """How the time is spent."""
    memory_bytes: int
    """Memory of the frame ring and of everything else on the same device."""
    fits_memory: bool
    """Whether that much memory is free there."""
    disk_bytes: int
    """Disk space of checkpoints and logs."""


def seconds_per_decision(costs: Costs, is_learning: bool) -> float:
    """Seconds per decision of one environment.

    If emulators and updates run on separate processors, the slower one counts; if they share cores
    or wait for each other, their times add up.
    """
    learning = costs.learning if is_learning else 0.0
    if costs.overlaps:
        return costs.acting + max(costs.emulating, learning)
    return costs.acting + costs.emulating + learning


def are_apart(recipe: Recipe, hardware: Hardware, cores: int) -> bool:
    """Whether emulators and updates run at the same time on separate processors."""
    if isinstance(recipe, OnPolicyRecipe) and not recipe.rollouts.overlap:
        return False
    if hardware.device.type != "cpu":
        return True
    return isinstance(recipe, OnPolicyRecipe) and 2 * hardware.threads <= cores


def run_seconds(recipe: Recipe, costs: Costs) -> float:
    """Seconds of a whole run."""
    decisions = recipe.total_frames // recipe.game.frames_per_decision
    learning = learning_decisions(recipe)
    return learning * seconds_per_decision(costs, is_learning=True) + (
        decisions - learning
    ) * seconds_per_decision(costs, is_learning=False)


def learning_seconds(recipe: Recipe, times: UpdateTimes) -> float:
    """Seconds of learning per decision of one environment."""
    return times.update * updates_per_decision(recipe)


def estimate(
    recipe: Recipe, hardware: Hardware, costs: Costs, requirements: Requirements
) -> Estimate:
    """Assemble the estimate of a run."""
    return Estimate(
        recipe.name,
        recipe.game.slug,
        recipe.total_frames,
        recipe.environments,
        hardware.threads,
        str(hardware.precision).removeprefix("torch."),
        run_seconds(recipe, costs) / SECONDS_PER_HOUR,
        1.0 / seconds_per_decision(costs, is_learning=True),
        costs,
        requirements.memory_bytes,
        requirements.shortage() is None,
        requirements.disk_bytes,
    )


def measure_costs(
    recipe: Recipe,
    hardware: Hardware,
    actions: int,
    emulators: Environments,
    emulator_count: int,
    emulator_rate: float,
    seconds: float,
    seconds_per_multiply_add: float | None = None,
    network: QNetwork | None = None,
) -> Costs:
    """Measure a recipe's updates and acting for about `seconds` seconds.

    `emulators` must be reset; `emulator_rate` is their decisions per second without updates. If
    both run at the same time on the CPU, they are measured together instead. If an update is
    expected to take too long, its time is computed from its multiply-adds.
    """
    work = count_work(recipe, actions, network)
    is_apart = are_apart(recipe, hardware, available_cores())
    heavy = work.update > HEAVY_MULTIPLY_ADDS
    if heavy and seconds_per_multiply_add is None:
        seconds_per_multiply_add = reference_speed(hardware, actions, seconds / 4)
    expected = work.update * (seconds_per_multiply_add or 0.0)
    if heavy and seconds_per_multiply_add and expected > HEAVY_BUDGETS * seconds:
        acting = work.acting * seconds_per_multiply_add
        times = UpdateTimes(expected, 0)
    else:
        bench = build_bench(recipe, hardware, actions, network)
        acting = measure_acting(bench, SHARE_OF_ACTING * seconds) / recipe.environments
        if is_apart and hardware.device.type == "cpu":
            with play_in_background(emulators, emulator_count) as rate:
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
    """Seconds per multiply-add in an update of the Nature network."""
    recipe = dqn("pong")
    bench = build_bench(recipe, hardware, actions)
    return measure_updates(bench, seconds).update / count_work(recipe, actions).update


def quick_estimate(plan: TrainingPlan, requirements: Requirements, seconds: float) -> Estimate:
    """Measure a planned run for about `seconds` seconds before it begins, using its own parts.

    Restores the network's weights; the environments must be seeded afterwards.
    """
    recipe, hardware, count = plan.recipe, plan.hardware, plan.recipe.environments
    with torch_threads(hardware.threads):
        weights = {name: value.clone() for name, value in plan.network.state_dict().items()}
        rate = measure_emulators(plan.environments, count, seconds / 4)
        costs = measure_costs(
            recipe,
            hardware,
            plan.actions,
            plan.environments,
            count,
            rate,
            3 * seconds / 4,
            network=plan.network,
        )
        plan.network.load_state_dict(weights)
        for parameter in plan.network.parameters():
            parameter.grad = None
    if hardware.device.type == "cuda":
        # The run was planned for the memory that was free before.
        gc.collect()
        torch.cuda.empty_cache()
    return estimate(recipe, hardware, costs, requirements)


def enough_emulators(recipe: Recipe, threads: int) -> int:
    """How many emulators are enough to measure a recipe's rate.

    Opening emulators is slow, and beyond a few per thread the rate hardly changes.
    """
    return min(recipe.environments, max(ENOUGH_EMULATORS, 2 * threads))
