"""Playing recorded rows again: what the emulators showed, and where they then stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from qcade.parts import Environments
from qcade.training.episodes import Episode, EpisodeTracker
from qcade.training.events import Seeding
from qcade.training.seeding import apply_seedings
from qcade.training.state import Snapshot, Training
from qcade.types import QcadeError, TimeStep, UInt8Array


def starting_row(seedings: Sequence[Seeding], row: int) -> int:
    """The row from which everything must be played so that all environments are right at `row`."""
    latest: dict[int, int] = {}
    for seeding in seedings:
        if seeding.row <= row:
            latest[seeding.environment] = max(seeding.row, latest.get(seeding.environment, 0))
    return min(latest.values())


def reemulate(
    environments: Environments,
    actions: UInt8Array,
    first_row: int,
    seedings: Sequence[Seeding],
    start: int,
) -> Iterator[tuple[int, TimeStep, tuple[Seeding, ...]]]:
    """Play recorded rows from row `start` on; yield each row, what arrived and its seedings.

    `actions`, uint8 [rows, E], are of the rows from `first_row` on.

    An environment shows what was recorded from its first seeding at or after `start`; before that
    its rows are of some other game.
    """
    by_row: dict[int, list[Seeding]] = defaultdict(list)
    for seeding in seedings:
        by_row[seeding.row].append(seeding)
    step = environments.reset()
    for row in range(start, first_row + len(actions)):
        if row > start:
            environments.send(actions[row - first_row].astype(np.int64))
            step = environments.recv()
        here = tuple(by_row[row])
        step = apply_seedings(environments, step, here)
        yield row, step, here


def rebuild(
    training: Training,
    snapshot: Snapshot,
    actions: UInt8Array,
    first_row: int,
    seedings: Sequence[Seeding],
    progress: Callable[[int, int], None] = lambda rows, of: None,
    check: Callable[[], None] = lambda: None,
) -> list[Episode]:
    """Bring the emulators of a restored training, and its ring if that is empty, to a snapshot.

    Returns the episodes that ended on the way and were played whole. `check` is called at every
    row, and may raise to stop. Raises QcadeError if the unfinished games at the end are not those
    of the snapshot.
    """
    opening_row = int(str(snapshot.counters["opening_row"]))
    count = training.recipe.environments
    next_row = first_row + len(actions)
    oldest_wanted = next_row
    if training.ring.is_empty:
        oldest_wanted = max(opening_row, next_row - training.ring.rows)
        training.ring.start_at(oldest_wanted, opening_row)
    start = starting_row(seedings, min(oldest_wanted, next_row - 1))
    tracker = EpisodeTracker(count, start)
    # Until it is seeded on the way, an emulator plays another game than was recorded.
    seeded: dict[int, int] = {}
    whole: list[Episode] = []
    for row, step, here in reemulate(training.environments, actions, first_row, seedings, start):
        check()
        seeded |= {s.environment: s.row for s in here}
        ended = tracker.track(step)
        whole += [e for e in ended if e.first_row >= seeded.get(e.environment, row + 1)]
        if row >= oldest_wanted:
            training.remember(step, actions[row - first_row].astype(np.int64))
        for seeding in here:
            training.seeded_rows[seeding.environment] = seeding.row
        if row % 256 == 0:
            progress(row - start, next_row - start)
    if tracker.state() != snapshot.counters["under_way"]:
        raise QcadeError(
            "the tape does not lead to the games that were under way: it was recorded with another "
            "ale-py or ROM, or it was changed"
        )
    training.episodes = tracker
    training.games_are_open = True
    return whole
