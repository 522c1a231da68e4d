"""When environments are seeded anew, so that any episode is near a point that a seed brings back.

A seeded reset reloads the ROM, which takes as long as hundreds of decisions; so it is made only
now and then, at the first end of an episode after a number of decisions.
"""

from __future__ import annotations

import numpy as np

from qcade.games.seeds import environment_seeds
from qcade.parts import Environments
from qcade.training.events import Seeding
from qcade.types import IntArray, TimeStep

RESEED_PERIOD_ROWS = 20_000


def seedings_at_start(row: int, environments: int, seed: int) -> tuple[Seeding, ...]:
    """Seed every environment at one row."""
    seeds = environment_seeds(_at_row(seed, row), environments)
    return tuple(Seeding(row, i, int(seeds[i])) for i in range(environments))


def seedings_due(
    step: TimeStep, row: int, seeded_rows: IntArray, environments: int, seed: int
) -> tuple[Seeding, ...]:
    """Seed those environments that open an episode with this row and were not for long."""
    due = np.flatnonzero(step.first & (row - seeded_rows >= RESEED_PERIOD_ROWS))
    if not len(due):
        return ()
    seeds = environment_seeds(_at_row(seed, row), environments)
    return tuple(Seeding(row, int(i), int(seeds[i])) for i in due)


def apply_seedings(
    environments: Environments, step: TimeStep, seedings: tuple[Seeding, ...]
) -> TimeStep:
    """Open the seeded episodes; return the row with their first frames in it."""
    if not seedings:
        return step
    where = np.array([s.environment for s in seedings])
    frame, reward, discount, first = (
        step.frame.copy(),
        step.reward.copy(),
        step.discount.copy(),
        step.first.copy(),
    )
    frame[where] = environments.reseed(where, np.array([s.seed for s in seedings]))
    reward[where], discount[where], first[where] = 0.0, 1.0, True
    return TimeStep(frame, reward, discount, first)


def _at_row(seed: int, row: int) -> int:
    return int(np.random.SeedSequence((seed, row)).generate_state(1)[0])
