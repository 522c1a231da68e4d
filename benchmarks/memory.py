"""What the replay memory takes, raw and compressed: python benchmarks/memory.py

Frames are of real play with random actions at 84x84; every game plays on until the memory is full,
unless --distinct says after how many frames the same ones are gone through again. Each memory is
filled in a process of its own, by whose growth it is measured. Updates of `dqn` are timed with
both memories in one process, in turns, so that what else the machine does hits both alike. The
machine needs room for both memories at once. Nothing else should run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from qcade.compute.hardware import describe_processor, keep_freed_memory, resolve
from qcade.recipe import ReplayRecipe
from qcade.recipes.dqn import dqn
from qcade.replay.frames import FrameRing
from qcade.replay.storage import StorageKind
from qcade.training.loop import make_runners
from qcade.training.plan import build_training, plan_training
from qcade.types import BoolArray, TimeStep

from trainings import make_next_updates

GAMES = ["pong", "ms_pacman", "breakout", "space_invaders"]
STORAGES: list[StorageKind] = ["raw", "compressed"]


@dataclasses.dataclass(frozen=True)
class Play:
    """Recorded rows of play."""

    frames: Path
    """A file of uint8 [rows, E, H, W]."""
    firsts: BoolArray
    """bool [rows, E]"""
    height: int
    """H"""
    width: int
    """W"""

    def fill(self, ring: FrameRing, rows: int) -> float:
        """Append so many rows, going through the recorded ones again if need be; seconds taken."""
        seconds, environments = 0.0, ring.environments
        shape = (environments, self.height, self.width)
        zeros, ones = np.zeros(environments, np.float32), np.ones(environments, np.float32)
        actions = np.zeros(environments, np.int64)
        with open(self.frames, "rb") as file:
            for row in range(rows):
                again = row % len(self.firsts)
                if again == 0:
                    file.seek(0)
                frames = np.fromfile(file, np.uint8, math.prod(shape)).reshape(shape)
                # What is gone through again opens as a new episode.
                first = self.firsts[again] if again else ones.astype(np.bool_)
                started = time.perf_counter()
                ring.append(TimeStep(frames, zeros, ones, first), actions)
                seconds += time.perf_counter() - started
        return seconds


def recipe_of(game: str, frames: int, storage: StorageKind, threads: int) -> ReplayRecipe:
    """Make `dqn` with a memory of so many frames, and a run that fills it."""
    recipe = dqn(game)
    return dataclasses.replace(
        recipe,
        replay=dataclasses.replace(recipe.replay, capacity=frames, storage=storage),
        updates=dataclasses.replace(recipe.updates, start_frames=0),
        compute=dataclasses.replace(recipe.compute, threads=threads),
        total_frames=10**12,
    )


def record(game: str, rows: int, threads: int, path: Path) -> Play:
    """Play at random and keep every frame on the disk."""
    recipe = dqn(game)
    environments = recipe.game.open(recipe.environments, 1, threads)
    randomness = np.random.default_rng(1)
    actions = len(environments.action_meanings)
    firsts = np.zeros((rows, recipe.environments), np.bool_)
    step = environments.reset()
    with open(path, "wb") as file:
        for row in range(rows):
            step.frame.tofile(file)
            firsts[row] = step.first
            environments.send(randomness.integers(actions, size=recipe.environments))
            step = environments.recv()
    environments.close()
    return Play(path, firsts, *recipe.game.frame_shape)


def measure_memory(
    play: Play, recipe: ReplayRecipe, storage: StorageKind, rounds: int, results: Connection
) -> None:
    """Fill a ring `rounds` times over; send the GB by which the process grew, and µs a row."""
    torch.set_num_threads(1)
    keep_freed_memory()
    process, rows = psutil.Process(), recipe.ring_rows
    before = process.memory_info().rss
    ring = FrameRing(
        rows, recipe.environments, play.height, play.width, recipe.stack, storage=storage
    )
    found: dict[str, float] = {}
    seconds = 0.0
    for round_ in range(rounds):
        seconds += play.fill(ring, rows)
        grown = (process.memory_info().rss - before) / 1e9
        found["first_gb" if round_ == 0 else "last_gb"] = grown
    found.setdefault("last_gb", found["first_gb"])
    found["held_gb"] = ring.frame_bytes / 1e9
    found["us_a_row"] = 1e6 * seconds / (rounds * rows)
    results.send(found)


def in_own_process(measure: Callable[..., None], *words: Any) -> dict[str, float]:
    """Measure in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(*words, sending))
    process.start()
    sending.close()
    found: dict[str, float] = receiving.recv()
    process.join()
    return found


def time_updates(play: Play, recipes: list[ReplayRecipe], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of single updates with each memory, in turns."""
    keep_freed_memory()
    trainings = []
    for recipe in recipes:
        training = build_training(plan_training(recipe))
        play.fill(training.ring, recipe.ring_rows)
        trainings.append((training, make_runners(training)))
    # Both have as many.
    torch.set_num_threads(trainings[0][0].hardware.threads)
    times: dict[str, list[float]] = {recipe.replay.storage: [] for recipe in recipes}
    for round_ in range(rounds + 2):
        for training, runners in trainings:
            started = time.perf_counter()
            make_next_updates(training, runners)
            if training.hardware.device.type == "cuda":
                torch.cuda.synchronize()
            # The first two rounds warm up.
            if round_ >= 2:
                seconds = time.perf_counter() - started
                times[training.ring.storage].append(1e3 * seconds)
    for training, _ in trainings:
        training.close()
    return times


def main() -> None:
    """Print a line of the table as soon as a game is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", nargs="+", default=GAMES)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--distinct", type=int, help="frames to play; all of them by default")
    parser.add_argument("--rounds", type=int, default=100, help="updates with each memory")
    parser.add_argument("--fillings", type=int, default=2, help="times that a memory is filled")
    parser.add_argument("--threads", type=int, default=0, help="0 for all cores")
    parser.add_argument("--folder", type=Path, help="where frames are kept meanwhile")
    parser.add_argument("--out", type=Path, help="JSON of everything measured")
    words = parser.parse_args()
    distinct = min(words.distinct or words.frames, words.frames)
    hardware = resolve(recipe_of(words.games[0], words.frames, "raw", words.threads).compute)
    print(f"{describe_processor()}; {hardware.device}, {hardware.precision}, ", end="")
    print(f"{hardware.threads} threads; torch {torch.__version__}; random play, ", end="")
    print(f"{words.frames:,} frames, {distinct:,} of them distinct; ", end="")
    print(f"{words.rounds} updates with each memory, in turns\n")
    print(
        "| game | raw, GB | compressed, GB | after filling it again | smaller by | "
        "raw, µs a row | compressed, µs a row | raw, ms an update | compressed, ms an update | "
        "update, ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    everything: dict[str, Any] = {"frames": words.frames, "distinct": distinct, "games": {}}
    for game in words.games:
        with tempfile.TemporaryDirectory(dir=words.folder) as folder:
            recipes = [recipe_of(game, words.frames, s, words.threads) for s in STORAGES]
            rows = -(-distinct // recipes[0].environments)
            play = record(game, rows, words.threads, Path(folder) / "frames")
            memory = [
                in_own_process(measure_memory, play, recipe, storage, words.fillings)
                for recipe, storage in zip(recipes, STORAGES, strict=True)
            ]
            times = time_updates(play, recipes, words.rounds)
        everything["games"][game] = {
            storage: {**found, "ms_an_update": times[storage]}
            for storage, found in zip(STORAGES, memory, strict=True)
        }
        print(_line(game, memory, times), flush=True)
        if words.out is not None:
            words.out.write_text(json.dumps(everything, indent=1))


def _line(game: str, memory: list[dict[str, float]], times: dict[str, list[float]]) -> str:
    raw, compressed = memory
    medians = [statistics.median(times[storage]) for storage in STORAGES]
    shown = [_median_and_quartiles(times[storage]) for storage in STORAGES]
    return (
        f"| {game} | {raw['first_gb']:.3f} | {compressed['first_gb']:.3f} | "
        f"{compressed['last_gb']:.3f} | {raw['first_gb'] / compressed['first_gb']:.1f} | "
        f"{raw['us_a_row']:.0f} | {compressed['us_a_row']:.0f} | {shown[0]} | {shown[1]} | "
        f"{medians[1] / medians[0]:.3f} |"
    )


def _median_and_quartiles(times: list[float]) -> str:
    low, middle, high = statistics.quantiles(times, n=4)
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
