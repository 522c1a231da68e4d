"""Measure what recording the tape costs a run: python benchmarks/recording.py

Times the fingerprints of frames and the writing of rows on real frames, against the time that the
training loop of `dqn` takes for a row.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from qcade.events import Advanced
from qcade.play.session import EpisodeTracker
from qcade.recipes.dqn import dqn
from qcade.tape.format import TapeWriter
from qcade.training.loop import run

from trainings import training_of

ROWS_TRAINED, ROWS_RECORDED = 400, 4_000


def seconds_a_row_of_training() -> float:
    """Time the whole loop of `dqn` on Pong while it learns."""
    recipe = dqn("pong")
    recipe = dataclasses.replace(
        recipe,
        replay=dataclasses.replace(recipe.replay, capacity=10_000),
        updates=dataclasses.replace(recipe.updates, start_frames=6_400),
        total_frames=6_400 + 32 * (ROWS_TRAINED + 50),
    )
    started, rows = 0.0, 0
    with training_of(recipe) as training:
        for event in run(training):
            if isinstance(event, Advanced) and event.updates > 100:
                started = started or time.perf_counter()
                rows += 1
    return (time.perf_counter() - started) / rows


def seconds_a_row_of_recording() -> float:
    """Time fingerprints and tape on real frames of eight environments."""
    game = dqn("pong").game
    environments = game.open(8, 1)
    steps = [environments.reset()]
    actions = np.zeros(8, np.int64)
    for _ in range(64):
        environments.send(actions)
        steps.append(environments.recv())
    environments.close()
    tracker = EpisodeTracker(8)
    with tempfile.TemporaryDirectory() as folder:
        writer = TapeWriter(Path(folder), 8, game.protocol(), None)
        started = time.perf_counter()
        for row in range(ROWS_RECORDED):
            tracker.track(steps[1 + row % 64])
            event = Advanced(frames=row, updates=row, epsilon=0.0, actions=actions, seedings=())
            writer.write(event)
            if row % 50 == 0:
                writer.spill()
        seconds = (time.perf_counter() - started) / ROWS_RECORDED
        writer.close()
    return seconds


def main() -> None:
    """Print both times and their ratio."""
    recording, training = seconds_a_row_of_recording(), seconds_a_row_of_training()
    print(f"a row of training (8 decisions, 2 updates): {training * 1e3:.2f} ms")
    print(f"its fingerprints and its bytes on the tape: {recording * 1e6:.0f} us")
    print(f"share of recording: {recording / training:.2%}")


if __name__ == "__main__":
    main()
