"""The whole examination: this machine, the speed of its parts, and estimates for recipes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from qcade.compute.cores import available_cores
from qcade.compute.hardware import (
    Hardware,
    available_disk_bytes,
    available_memory_bytes,
    describe_processor,
    resolve,
)
from qcade.doctor.counting import count_work
from qcade.doctor.estimates import Estimate, enough_emulators, estimate, measure_costs
from qcade.doctor.measuring import (
    build_bench,
    measure_emulators,
    measure_memory,
    measure_updates,
    opened,
    thread_counts,
)
from qcade.parts import Game
from qcade.recipe import Compute, Recipe
from qcade.recipes.dqn import dqn
from qcade.runs.requirements import predict_requirements
from qcade.types import JSON

ENVIRONMENT_COUNTS = (1, 8, 32)
EMULATOR_SHARE, UPDATE_SHARE, RECIPE_SHARE = 0.15, 0.15, 0.6
"""Shares of the time; the rest is spent opening emulators and building networks."""


@dataclass(frozen=True)
class Machine:
    """Facts about the machine that need no measuring."""

    processor: str
    """The CPU's name and vector instructions."""
    cores: int
    """Cores that this process may use."""
    device: str
    """Where networks run: cpu, mps, or the name of the CUDA GPU."""
    torch: str
    """Version of PyTorch."""
    available_memory_bytes: int
    """Memory that this process may still allocate."""
    free_disk_bytes: int
    """Free space on the disk of the run directory."""


@dataclass(frozen=True)
class EmulatorSpeed:
    """Speed of emulators under random play, with nothing else running."""

    environments: int
    """Emulators that run in parallel."""
    threads: int
    """CPU threads."""
    decisions_per_second: float
    """Decisions of all emulators per second."""


@dataclass(frozen=True)
class UpdateSpeed:
    """Speed of updates of the Nature network: recipe dqn, batch size 32."""

    precision: str
    """Precision of the network."""
    threads: int
    """CPU threads."""
    updates_per_second: float
    """Updates per second, including drawing the batches."""


@dataclass(frozen=True)
class Findings:
    """All findings of the doctor."""

    machine: Machine
    """The machine."""
    memory_bytes_per_second: float
    """Bytes per second that a copy in the device's memory reads and writes."""
    emulators: tuple[EmulatorSpeed, ...]
    """Emulator speeds by number of environments and threads."""
    updates: tuple[UpdateSpeed, ...]
    """Update speeds by precision and threads."""
    best: UpdateSpeed
    """The fastest of the update speeds; estimates use its settings."""
    multiply_adds_per_second: float
    """Multiply-adds per second of those updates."""
    recipes: tuple[Estimate, ...]
    """An estimate for each recipe."""

    def to_json(self) -> dict[str, JSON]:
        """All findings as plain JSON."""
        found: dict[str, JSON] = dataclasses.asdict(self)
        return found


def examine(
    game: Game,
    recipes: Sequence[Recipe],
    folder: Path,
    seconds: float,
    tell: Callable[[str], None],
) -> Findings:
    """Measure for about `seconds` seconds; `tell` is called with what is being measured.

    Emulators are measured on `game`, and again for recipes with other game settings.
    """
    machine, cores = look(folder), available_cores()
    threads = thread_counts(cores)
    found = resolve(Compute())
    memory = measure_memory(found.device)
    budget = EMULATOR_SHARE * seconds / (len(threads) * len(ENVIRONMENT_COUNTS))
    emulators = []
    for count in ENVIRONMENT_COUNTS:
        for t in threads:
            tell(f"{count} emulators, {t} threads")
            with opened(game, count, t) as environments:
                rate = measure_emulators(environments, count, budget)
                actions = len(environments.action_meanings)
            emulators.append(EmulatorSpeed(count, t, rate))
    updates = _measure_updates(found, threads, actions, UPDATE_SHARE * seconds, tell)
    best = max(updates, key=lambda u: u.updates_per_second)
    fastest = Hardware(found.device, getattr(torch, best.precision), best.threads)
    rate = best.updates_per_second * count_work(dqn("pong"), actions).update
    estimates = []
    for recipe in recipes:
        tell(recipe.name)
        hardware = hardware_of(recipe, fastest)
        count = enough_emulators(recipe, hardware.threads)
        with opened(recipe.game, count, hardware.threads) as environments:
            emulator_rate = (
                _nearest(emulators, recipe.environments, hardware.threads)
                if recipe.game == game and hardware.threads in threads
                else measure_emulators(environments, count, budget)
            )
            costs = measure_costs(
                recipe,
                hardware,
                len(environments.action_meanings),
                environments,
                count,
                emulator_rate,
                RECIPE_SHARE * seconds / len(recipes),
                1.0 / rate,
            )
        estimates.append(estimate(recipe, hardware, costs, predict_requirements(recipe)))
    return Findings(machine, memory, tuple(emulators), tuple(updates), best, rate, tuple(estimates))


def look(folder: Path) -> Machine:
    """Describe the machine without measuring anything."""
    device = resolve(Compute()).device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Machine(
        describe_processor(),
        available_cores(),
        name,
        torch.__version__,
        available_memory_bytes(),
        available_disk_bytes(folder),
    )


def hardware_of(recipe: Recipe, fastest: Hardware) -> Hardware:
    """The hardware to measure a recipe on: the fastest settings, unless the recipe sets its own."""
    if recipe.compute.device != "auto":
        return resolve(recipe.compute)
    return replace(fastest, threads=recipe.compute.threads or fastest.threads)


def _measure_updates(
    found: Hardware,
    threads: list[int],
    actions: int,
    seconds: float,
    tell: Callable[[str], None],
) -> list[UpdateSpeed]:
    precisions = list(dict.fromkeys((torch.float32, found.precision)))
    if found.device.type != "cpu":
        threads = [found.threads]
    budget = seconds / (len(precisions) * len(threads))
    speeds = []
    for precision in precisions:
        for t in threads:
            name = str(precision).removeprefix("torch.")
            tell(f"updates in {name}, {t} threads")
            bench = build_bench(dqn("pong"), Hardware(found.device, precision, t), actions)
            speeds.append(UpdateSpeed(name, t, 1.0 / measure_updates(bench, budget).update))
    return speeds


def _nearest(speeds: list[EmulatorSpeed], environments: int, threads: int) -> float:
    """The speed on `threads` threads with the largest count of at most `environments`."""
    fitting = [s for s in speeds if s.threads == threads and s.environments <= environments]
    return max(fitting, key=lambda s: s.environments).decisions_per_second
