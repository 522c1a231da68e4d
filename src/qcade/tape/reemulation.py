"""Re-emulating recorded rows: the frames they had, and the state of the emulators after them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from qcade.events import Seeding
from qcade.play.session import Row, Session
from qcade.types import BoolArray, UInt8Array


def starting_row(seedings: Sequence[Seeding], row: int) -> int:
    """Return the row to re-emulate from, for all environments to be in their state at `row`."""
    latest: dict[int, int] = {}
    for seeding in seedings:
        if seeding.row <= row:
            latest[seeding.environment] = max(seeding.row, latest.get(seeding.environment, 0))
    return min(latest.values())


def reemulate(
    session: Session, actions: UInt8Array, first_row: int, seedings: Sequence[Seeding]
) -> Iterator[Row]:
    """Re-emulate recorded rows, starting with the session's next row.

    `actions`, uint8 [rows, E], start with those of row `first_row`. An environment shows what was
    recorded from its first seeding onwards; its rows before that are of another game.
    """
    recorded: dict[int, tuple[Seeding, ...]] = defaultdict(tuple)
    for seeding in seedings:
        recorded[seeding.row] += (seeding,)

    def as_recorded(row: int, first: BoolArray) -> tuple[Seeding, ...]:
        return recorded.get(row, ())

    start = session.next_row
    for row in range(start, first_row + len(actions)):
        sent = actions[row - first_row].astype(np.int64)
        if row == start:
            yield session.open(as_recorded, sent)
        else:
            session.send(sent)
            yield session.receive(as_recorded)
