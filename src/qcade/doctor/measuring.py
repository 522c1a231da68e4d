"""Measuring a machine: emulators, updates, acting and memory, each in a box of time."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from qcade.agent.actor import Actor
from qcade.agent.learner import Learner
from qcade.games.opening import open_game
from qcade.machine import Hardware, keep_freed_memory, torch_threads
from qcade.networks.q_network import build_q_network
from qcade.parts import Game
from qcade.recipe import Recipe, ReplayRecipe
from qcade.replay.frames import FrameRing
from qcade.training.acting import Acting
from qcade.training.update_rules import UpdateRule, target_rule, update_rule
from qcade.types import TimeStep

REPLAY_FRAMES = 4_096
"""Frames in the memory that updates are measured on: more than a processor's caches hold."""
EPISODE_ROWS = 200
COPIED_BYTES = 128 * 2**20
EMULATOR_CHUNK = 8
"""Decisions of all environments between two looks at the clock."""


class Bench(NamedTuple):
    """What a recipe learns and acts with, on frames of noise instead of a game."""

    recipe: Recipe
    """What is measured."""
    learner: Learner
    """Its networks and optimizer."""
    actor: Actor
    """Its player."""
    ring: FrameRing
    """A memory that is full, though small."""
    hardware: Hardware
    """Where and how it computes."""

    def rule(self) -> UpdateRule:
        """Make a fresh rule of updates that has heard what it needs of the actor."""
        rule = update_rule(self.recipe, self.learner, self.ring, self.actor.actions, 0)
        for _ in range(self.ring.rows):
            shape = (self.ring.environments, self.actor.actions)
            rule.heard(torch.zeros(shape, device=self.ring.device))
        return rule


@dataclass(frozen=True)
class UpdateTimes:
    """How long learning takes, in seconds."""

    update: float
    """One gradient update, drawing its batch included: the median."""
    measured_updates: int
    """How many updates the median is of."""


def thread_counts(cores: int) -> list[int]:
    """Numbers of threads worth trying: powers of two below the number of cores, and that."""
    return sorted({2**power for power in range(cores.bit_length()) if 2**power < cores} | {cores})


def build_bench(recipe: Recipe, hardware: Hardware, actions: int) -> Bench:
    """Put together what is measured; the memory is filled with noise."""
    height, width = recipe.game.frame_shape
    network = build_q_network(
        recipe.torso, recipe.algorithm, (recipe.stack, height, width), actions, seed=0
    )
    noise = torch.Generator(hardware.device).manual_seed(0)
    learner = Learner(
        network, recipe.algorithm, recipe.optimizer, target_rule(recipe), hardware, noise
    )
    actor = Actor(learner.network, actions, hardware, seed=0, noise=noise)
    ring = FrameRing(
        _rows(recipe), recipe.environments, height, width, recipe.stack, hardware.device
    )
    randomness = np.random.default_rng(0)
    for row in range(ring.rows):
        ring.append(
            _noise(randomness, ring, row), randomness.integers(actions, size=ring.environments)
        )
    return Bench(recipe, learner, actor, ring, hardware)


def measure_updates(bench: Bench, seconds: float) -> UpdateTimes:
    """Make updates for about so long: at least one, after one that is not counted."""
    keep_freed_memory()
    progress = bench.recipe.progress(0)
    rule = bench.rule()
    with torch_threads(bench.hardware.threads):
        _timed(bench.hardware, lambda: rule.update(progress))
        times = _repeated(bench.hardware, lambda: rule.update(progress), seconds)
    return UpdateTimes(statistics.median(times), len(times))


def measure_acting(bench: Bench, seconds: float) -> float:
    """Seconds that choosing one action in every environment takes, all of them greedy."""
    keep_freed_memory()
    acting = Acting(bench.actor, bench.ring)
    with torch_threads(bench.hardware.threads):
        return statistics.median(_repeated(bench.hardware, lambda: acting.act(0.0), seconds))


def measure_emulators(game: Game, environments: int, threads: int, seconds: float) -> float:
    """Decisions a second of that many environments under random play, all of them together."""
    opened = open_game(game, environments, 0, threads)
    try:
        actions = len(opened.action_meanings)
        randomness = np.random.default_rng(0)
        opened.reset()
        made, started = 0, time.perf_counter()
        while True:
            for _ in range(EMULATOR_CHUNK):
                opened.send(randomness.integers(actions, size=environments))
                opened.recv()
            made += EMULATOR_CHUNK * environments
            passed = time.perf_counter() - started
            if passed >= seconds:
                return made / passed
    finally:
        opened.close()


@contextlib.contextmanager
def emulators_beside(game: Game, environments: int, threads: int) -> Iterator[Callable[[], float]]:
    """Play at random in the background; yield what tells the decisions a second so far.

    Emulators and updates that run at once share caches and the clock of the processor: each is
    slower than alone.
    """
    opened = open_game(game, environments, 0, threads)
    randomness = np.random.default_rng(0)
    actions = len(opened.action_meanings)
    opened.reset()
    stop, made, started = threading.Event(), 0, time.perf_counter()

    def play() -> None:
        nonlocal made
        while not stop.is_set():
            opened.send(randomness.integers(actions, size=environments))
            opened.recv()
            made += environments

    player = threading.Thread(target=play, name="emulators")
    player.start()
    try:
        yield lambda: max(made, 1) / (time.perf_counter() - started)
    finally:
        stop.set()
        player.join()
        opened.close()


def measure_memory(device: torch.device, seconds: float = 0.3) -> float:
    """Bytes a second that a copy within the device's memory reads and writes."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    hardware = Hardware(device, torch.float32, torch.get_num_threads())
    times = _repeated(hardware, lambda: copy.copy_(source), seconds)
    return 2 * COPIED_BYTES / statistics.median(times)


def count_actions(game: Game) -> int:
    """How many actions a game has; opens it once."""
    opened = open_game(game, 1, 0, 1)
    try:
        return len(opened.action_meanings)
    finally:
        opened.close()


def _rows(recipe: Recipe) -> int:
    if isinstance(recipe, ReplayRecipe):
        least = recipe.replay.most_n_step + recipe.stack + recipe.algorithm.future_steps + 1
        return max(least, REPLAY_FRAMES // recipe.environments)
    return recipe.ring_rows


def _noise(randomness: np.random.Generator, ring: FrameRing, row: int) -> TimeStep:
    count = ring.environments
    shape = (count, ring.height, ring.width)
    return TimeStep(
        frame=randomness.integers(256, size=shape, dtype=np.uint8),
        reward=randomness.integers(2, size=count).astype(np.float32),
        discount=np.ones(count, np.float32),
        first=np.full(count, row % EPISODE_ROWS == 0),
    )


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
