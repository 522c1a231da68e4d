"""The whole examination: what this machine is, how fast its parts are, what recipes will take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from qcade.doctor.counting import count_work
from qcade.doctor.estimates import Estimate, estimate, measure_costs, measure_emulators_of
from qcade.doctor.measuring import (
    build_bench,
    count_actions,
    measure_emulators,
    measure_memory,
    measure_updates,
    thread_counts,
)
from qcade.machine import (
    Hardware,
    available_cores,
    available_disk_bytes,
    available_memory_bytes,
    describe_processor,
    resolve,
)
from qcade.parts import Game
from qcade.recipe import Compute, Recipe
from qcade.recipes.dqn import dqn
from qcade.types import JSON

ENVIRONMENT_COUNTS = (1, 8, 32)
EMULATOR_SHARE, UPDATE_SHARE, RECIPE_SHARE = 0.15, 0.15, 0.6
"""Of the time; the rest goes into opening emulators and building networks."""


@dataclass(frozen=True)
class Machine:
    """What was found without measuring."""

    processor: str
    """Its name and vector instructions."""
    cores: int
    """Those that this process may use."""
    device: str
    """Where networks compute: the processor, or a GPU by name."""
    torch: str
    """Version of PyTorch."""
    available_memory_bytes: int
    """Memory that is free now."""
    free_disk_bytes: int
    """Where runs are written."""


@dataclass(frozen=True)
class EmulatorSpeed:
    """Emulators under random play, and nothing beside them."""

    environments: int
    """Side by side."""
    threads: int
    """On so many."""
    decisions_per_second: float
    """Of all of them together."""


@dataclass(frozen=True)
class UpdateSpeed:
    """Updates of the Nature network: recipe dqn, batch 32."""

    precision: str
    """Arithmetic of the network."""
    threads: int
    """Processor threads."""
    updates_per_second: float
    """Drawing the batches included."""


@dataclass(frozen=True)
class Findings:
    """All that the doctor has to say."""

    machine: Machine
    """What it is."""
    memory_bytes_per_second: float
    """Read and written by a copy in the device's memory."""
    emulators: tuple[EmulatorSpeed, ...]
    """By environments and threads."""
    updates: tuple[UpdateSpeed, ...]
    """By precision and threads."""
    best: UpdateSpeed
    """The fastest of them: what the estimates go by."""
    multiply_adds_per_second: float
    """Of those updates."""
    recipes: tuple[Estimate, ...]
    """What each will take."""

    def to_json(self) -> dict[str, JSON]:
        """All of it as plain JSON."""
        found: dict[str, JSON] = dataclasses.asdict(self)
        return found


def examine(
    game: Game,
    recipes: Sequence[Recipe],
    folder: Path,
    seconds: float,
    tell: Callable[[str], None],
) -> Findings:
    """Measure for about so many seconds; `tell` hears what is being measured.

    `game` is for the emulators; a recipe that shows its game otherwise has them measured again.
    """
    machine, cores = look(folder), available_cores()
    threads, actions = thread_counts(cores), count_actions(game)
    found = resolve(Compute())
    memory = measure_memory(found.device)
    box = EMULATOR_SHARE * seconds / (len(threads) * len(ENVIRONMENT_COUNTS))
    emulators = []
    for count in ENVIRONMENT_COUNTS:
        for t in threads:
            tell(f"{count} emulators, {t} threads")
            rate = measure_emulators(game, count, t, box)
            emulators.append(EmulatorSpeed(count, t, rate))
    updates = _measure_updates(found, threads, actions, UPDATE_SHARE * seconds, tell)
    best = max(updates, key=lambda u: u.updates_per_second)
    fastest = Hardware(found.device, getattr(torch, best.precision), best.threads)
    rate = best.updates_per_second * count_work(dqn("pong"), actions).update
    estimates = []
    for recipe in recipes:
        tell(recipe.name)
        hardware = hardware_of(recipe, fastest)
        emulator_rate = (
            _nearest(emulators, recipe.environments, hardware.threads)
            if recipe.game == game and hardware.threads in threads
            else measure_emulators_of(recipe, hardware.threads, box)
        )
        costs = measure_costs(
            recipe,
            hardware,
            actions if recipe.game == game else count_actions(recipe.game),
            emulator_rate,
            RECIPE_SHARE * seconds / len(recipes),
            1.0 / rate,
        )
        estimates.append(estimate(recipe, hardware, costs))
    return Findings(machine, memory, tuple(emulators), tuple(updates), best, rate, tuple(estimates))


def look(folder: Path) -> Machine:
    """See what the machine is; nothing is measured."""
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
    """What a recipe is measured on: the fastest settings, but for what it settles itself."""
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
    box = seconds / (len(precisions) * len(threads))
    speeds = []
    for precision in precisions:
        for t in threads:
            name = str(precision).removeprefix("torch.")
            tell(f"updates in {name}, {t} threads")
            bench = build_bench(dqn("pong"), Hardware(found.device, precision, t), actions)
            speeds.append(UpdateSpeed(name, t, 1.0 / measure_updates(bench, box).update))
    return speeds


def _nearest(speeds: list[EmulatorSpeed], environments: int, threads: int) -> float:
    """What was measured with the largest count that is not larger, on so many threads."""
    fitting = [s for s in speeds if s.threads == threads and s.environments <= environments]
    return max(fitting, key=lambda s: s.environments).decisions_per_second
