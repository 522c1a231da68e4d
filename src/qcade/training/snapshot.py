"""Snapshots: everything needed to continue a run, except its frames and emulators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qcade.agent.finite import require_finite
from qcade.agent.learner import LearnerState
from qcade.events import Seeding
from qcade.play.session import EndedEpisode
from qcade.tape.reemulation import reemulate, starting_row
from qcade.training.counters import Counters
from qcade.training.parts import Training
from qcade.types import QcadeError, UInt8Array


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The contents of a checkpoint."""

    weights: dict[str, Tensor]
    """The online network's weights, by name."""
    learner: LearnerState
    """Target network and optimizer."""
    actor_random: Tensor
    """State of the random generator of actions."""
    noise_random: Tensor
    """State of the random generator of networks."""
    source: dict[str, Tensor]
    """State of the source of batches."""
    metric_sums: dict[str, Tensor]
    """Sums of metrics since the last report."""
    counters: Counters
    """How far the run has come."""


def take_snapshot(training: Training) -> Snapshot:
    """Copy everything needed to continue, except the ring and the emulators.

    Raises NotFinite if a weight or the optimizer's state is not finite.
    """
    training.require_made_updates()
    weights, state = training.learner.network.state_dict(), training.learner.state()
    require_finite(weights, "weights")
    require_finite(state.target, "target network")
    for index, slots in state.optimizer.items():
        require_finite(slots, f"optimizer of parameter {index}")
    session, clock = training.session, training.clock
    return Snapshot(
        weights=_copied(weights),
        learner=LearnerState(
            _copied(state.target),
            {index: _copied(slots) for index, slots in state.optimizer.items()},
        ),
        actor_random=training.actor.generator.get_state(),
        noise_random=training.noise.get_state(),
        source=_copied(training.source.tensors()),
        metric_sums=_copied(training.metrics.sums),
        counters=Counters(
            decisions=clock.decisions,
            updates=clock.updates,
            episodes=clock.episodes,
            metric_count=training.metrics.updates,
            next_row=session.next_row,
            opening_row=training.ring.opening_row,
            unfinished=session.episodes.state(),
            sent_actions=None if session.sent is None else tuple(map(int, session.sent)),
        ),
    )


def restore(training: Training, snapshot: Snapshot) -> None:
    """Restore a snapshot of the same recipe; the ring is empty, and games start anew.

    On another kind of device than the snapshot's, random numbers in networks get a new seed.
    """
    counters, clock, session = snapshot.counters, training.clock, training.session
    clock.decisions, clock.updates = counters.decisions, counters.updates
    clock.episodes, training.metrics.updates = counters.episodes, counters.metric_count
    session.begin(counters.next_row)
    if counters.sent_actions is not None:
        session.sent = np.array(counters.sent_actions, np.int64)
    training.ring.start_at(counters.next_row, opening_row=counters.next_row)
    training.learner.network.load_state_dict(snapshot.weights)
    training.learner.restore(snapshot.learner)
    training.actor.generator.set_state(snapshot.actor_random)
    if snapshot.noise_random.shape == training.noise.get_state().shape:
        training.noise.set_state(snapshot.noise_random)
    else:
        # Devices have different generators whose states cannot be converted.
        sequence = np.random.SeedSequence((training.recipe.seed, counters.next_row))
        training.noise.manual_seed(int(sequence.generate_state(1)[0]))
    training.source.restore(snapshot.source)
    training.metrics.sums = dict(snapshot.metric_sums)


def restore_games(
    training: Training,
    counters: Counters,
    actions: UInt8Array,
    first_row: int,
    seedings: Sequence[Seeding],
    progress: Callable[[int, int], None] = lambda rows, of: None,
    check: Callable[[], None] = lambda: None,
) -> list[EndedEpisode]:
    """Recreate the games of a snapshot from recorded actions, and the ring too if it is empty.

    `actions`, uint8 [rows, E], are the recorded actions of the rows from `first_row` on. Returns
    the episodes that were recreated from beginning to end. `check` is called at every row and may
    raise to stop. Raises QcadeError if the unfinished games at the end differ from the snapshot's.
    """
    session, next_row = training.session, first_row + len(actions)
    remembered_from, sent = next_row, session.sent
    if training.ring.is_empty:
        remembered_from = max(counters.opening_row, next_row - training.ring.rows)
        training.ring.start_at(remembered_from, counters.opening_row)
    start = starting_row(seedings, min(remembered_from, next_row - 1))
    session.begin(start, remembered_from)
    # Until its first seeding, an emulator plays a different game than the recorded one.
    seeded: dict[int, int] = {}
    whole: list[EndedEpisode] = []
    for row in reemulate(session, actions, first_row, seedings):
        check()
        seeded |= {s.environment: s.row for s in row.seedings}
        whole += [e for e in row.ended if e.first_row >= seeded.get(e.environment, row.number + 1)]
        training.run_seeds.note(row.seedings)
        if row.number % 256 == 0:
            progress(row.number - start, next_row - start)
    if session.episodes.state() != counters.unfinished:
        raise QcadeError(
            "the tape does not lead to the unfinished games: it was recorded with another "
            "ale-py or ROM, or it was changed"
        )
    session.sent = sent
    return whole


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
