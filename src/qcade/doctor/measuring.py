"""Measuring a machine: emulators, updates, acting and memory, each within a time budget."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from qcade.compute.hardware import Hardware, torch_threads
from qcade.doctor.noise import NoiseEnvironments
from qcade.games.opening import open_game
from qcade.networks.q_network import QNetwork
from qcade.parts import Environments, Game
from qcade.recipe import Recipe, ReplayRecipe
from qcade.training.loop import NO_INPUT, make_runners
from qcade.training.parts import Training, assemble, network_of

REPLAY_FRAMES = 4_096
"""Frames in the replay memory that updates are measured on: more than CPU caches can hold."""
COPIED_BYTES = 128 * 2**20
EMULATOR_CHUNK = 8
"""Decisions of each environment between two readings of the clock."""


@dataclass(frozen=True)
class UpdateTimes:
    """The measured time of an update."""

    update: float
    """Median seconds of one gradient update, including drawing its batch."""
    measured_updates: int
    """How many updates were measured."""


def thread_counts(cores: int) -> list[int]:
    """Numbers of threads to try: powers of two below the number of cores, and that number."""
    return sorted({2**power for power in range(cores.bit_length()) if 2**power < cores} | {cores})


def build_bench(
    recipe: Recipe, hardware: Hardware, actions: int, network: QNetwork | None = None
) -> Training:
    """Assemble a run on frames of noise instead of a game, with a small but full replay memory.

    It learns with `network`, or with a new one.
    """
    height, width = recipe.game.frame_shape
    environments = NoiseEnvironments(recipe.environments, height, width, actions)
    network = network or network_of(recipe, actions, seed=0)
    training = assemble(recipe, hardware, environments, network, "raw", _rows(recipe))
    session, randomness = training.session, np.random.default_rng(0)
    session.open()
    q_values = torch.zeros(recipe.environments, actions, device=hardware.device)
    while session.next_row < training.ring.rows:
        if training.source.needs_q_values:
            # Records the Q-values of a rollout; its minibatches are not used.
            deque(training.source.due(training.clock, q_values), maxlen=0)
        session.send(randomness.integers(actions, size=recipe.environments))
        session.receive()
    return training


def measure_updates(bench: Training, seconds: float) -> UpdateTimes:
    """Make updates for about `seconds` seconds: at least one, after an untimed one."""
    runners = make_runners(bench)

    def update() -> None:
        bench.learner.set_learning_rate(bench.progress)
        runners.update.run(bench.source.next_plans(bench.clock, 1))
        bench.clock.updates += 1
        bench.learner.update_target(bench.clock.updates)

    with torch_threads(bench.hardware.threads):
        _timed(bench.hardware, update)
        times = _repeated(bench.hardware, update, seconds)
    return UpdateTimes(statistics.median(times), len(times))


def measure_acting(bench: Training, seconds: float) -> float:
    """Seconds to choose a greedy action in every environment."""
    runners, count = make_runners(bench), bench.recipe.environments

    def act() -> None:
        bench.actor.choose_by(lambda: runners.value.run([NO_INPUT])["q_values"], count, 0.0)

    with torch_threads(bench.hardware.threads):
        return statistics.median(_repeated(bench.hardware, act, seconds))


def measure_emulators(environments: Environments, count: int, seconds: float) -> float:
    """Decisions per second of all E environments together under random play.

    The environments must be reset already.
    """
    actions, randomness = len(environments.action_meanings), np.random.default_rng(0)
    decisions, started = 0, time.perf_counter()
    while True:
        for _ in range(EMULATOR_CHUNK):
            environments.send(randomness.integers(actions, size=count))
            environments.recv()
        decisions += EMULATOR_CHUNK * count
        elapsed = time.perf_counter() - started
        if elapsed >= seconds:
            return decisions / elapsed


@contextlib.contextmanager
def opened(game: Game, environments: int, threads: int) -> Iterator[Environments]:
    """Open and reset environments of a game for the duration of the context."""
    started = open_game(game, environments, 0, threads)
    try:
        started.reset()
        yield started
    finally:
        started.close()


@contextlib.contextmanager
def play_in_background(environments: Environments, count: int) -> Iterator[Callable[[], float]]:
    """Play at random in a thread; yield a function that returns the decisions per second so far.

    Emulators and updates that run at the same time share the CPU's caches and clock: each is slower
    than on its own.
    """
    randomness, actions = np.random.default_rng(0), len(environments.action_meanings)
    stop, decisions, started = threading.Event(), 0, time.perf_counter()

    def play() -> None:
        nonlocal decisions
        while not stop.is_set():
            environments.send(randomness.integers(actions, size=count))
            environments.recv()
            decisions += count

    player = threading.Thread(target=play, name="emulators")
    player.start()
    try:
        yield lambda: max(decisions, 1) / (time.perf_counter() - started)
    finally:
        stop.set()
        player.join()


def measure_memory(device: torch.device, seconds: float = 0.3) -> float:
    """Bytes per second that a copy within the device's memory reads and writes."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    hardware = Hardware(device, torch.float32, torch.get_num_threads())
    times = _repeated(hardware, lambda: copy.copy_(source), seconds)
    return 2 * COPIED_BYTES / statistics.median(times)


def _rows(recipe: Recipe) -> int:
    if isinstance(recipe, ReplayRecipe):
        least = recipe.replay.most_n_step + recipe.stack + recipe.algorithm.future_steps + 1
        return max(least, REPLAY_FRAMES // recipe.environments)
    return recipe.ring_rows


def _repeated(hardware: Hardware, action: Callable[[], object], seconds: float) -> list[float]:
    times = [_timed(hardware, action)]
    while sum(times) < seconds:
        times.append(_timed(hardware, action))
    return times


def _timed(hardware: Hardware, action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    if hardware.device.type == "cuda":
        torch.cuda.synchronize(hardware.device)
    elif hardware.device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - started
