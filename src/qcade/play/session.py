"""The shared loop over rows: E environments, their frame ring, their episodes and their seeds.

Training, evaluation, films and tapes all call `open` once, then `send` and `receive` for each row.
The actions may come from a network, a recording or a human.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from qcade.events import Seeding
from qcade.games.seeds import environment_seeds
from qcade.parts import Environments
from qcade.replay.frames import FrameRing, no_actions
from qcade.types import JSON, BoolArray, IntArray, TimeStep

RESEED_PERIOD_ROWS = 20_000
"""Rows after which an environment is reseeded at its next end of an episode.

A seeded reset reloads the ROM, which takes as long as hundreds of decisions, so it must be rare.
But every episode should be close to a seeded row, from which it can be recreated.
"""

Seeder: TypeAlias = Callable[[int, BoolArray], tuple[Seeding, ...]]
"""Maps a row's number, and which environments open an episode there, to seedings."""


def unseeded(row: int, first: BoolArray) -> tuple[Seeding, ...]:
    """Seed no environment."""
    return ()


class EndedEpisode(NamedTuple):
    """An ended episode, as far as the rows alone describe it."""

    environment: int
    """Number of the environment, from 0 to E - 1."""
    first_row: int
    """Row of its first frame."""
    score: float
    """Sum of raw rewards."""
    length_decisions: int
    """Decisions from its first frame to its last."""
    frames_crc: int
    """CRC-32 of all its frames as the agent saw them, including the first and last."""


class Row(NamedTuple):
    """One time step of all environments."""

    number: int
    """Row number, counted from the start of the run."""
    step: TimeStep
    """Frames, rewards, discounts, and which environments open an episode in this row."""
    opened: BoolArray
    """bool [E]: which environments opened an episode by themselves, not by a seeded reset."""
    actions: IntArray
    """int64 [E]: the actions that were sent."""
    seedings: tuple[Seeding, ...]
    """The environments seeded in this row, with their seeds."""
    ended: tuple[EndedEpisode, ...]
    """Episodes that ended in the previous row: their successors open in this one."""


class Session:
    """Plays E environments row by row."""

    def __init__(
        self,
        environments: Environments,
        count: int,
        ring: FrameRing | None = None,
        clips_rewards: bool = False,
        latest: TimeStep | None = None,
    ) -> None:
        """Play `count` environments; append rows to `ring`, optionally with clipped rewards.

        `latest` is the last row of environments that were tried out and will be seeded by `open`,
        which then skips their reset.
        """
        self.environments, self.count, self._latest = environments, count, latest
        self.ring, self.clips_rewards = ring, clips_rewards
        self.sent: IntArray | None = None
        """int64 [E]: the actions sent for the next row; None if none are pending."""
        self.is_open = False
        self.begin(0)

    @property
    def next_row(self) -> int:
        """Number of the next row."""
        return self.episodes.row + 1

    def begin(self, row: int, remembered_from: int = 0) -> None:
        """Make `row` the next row; only rows from `remembered_from` on are appended to the ring."""
        self.episodes = EpisodeTracker(self.count, row)
        self._remembered_from = remembered_from

    def open(self, seeder: Seeder = unseeded, actions: IntArray | None = None) -> Row:
        """Open an episode in every environment; that is the next row.

        `actions`, int64 [E], are recorded with this row, although no environment receives them.
        """
        self.begin(self.next_row, self._remembered_from)
        self.sent, self.is_open = None, True
        ignored = no_actions(self.count) if actions is None else actions
        step, self._latest = self._latest, None
        return self._append(step or self.environments.reset(), ignored, seeder)

    def send(self, actions: IntArray) -> None:
        """Start one decision in every environment, int64 [E]; return at once."""
        self.environments.send(actions)
        self.sent = actions

    def receive(self, seeder: Seeder = unseeded) -> Row:
        """Wait for the decisions that `send` started; return the row."""
        assert self.sent is not None, "send actions before receiving"
        row = self._append(self.environments.recv(), self.sent, seeder)
        self.sent = None
        return row

    def _append(self, step: TimeStep, actions: IntArray, seeder: Seeder) -> Row:
        number, opened = self.next_row, step.first
        seedings = seeder(number, opened)
        step = apply_seedings(self.environments, step, seedings)
        ended = self.episodes.track(step)
        if self.ring is not None and number >= self._remembered_from:
            reward = np.clip(step.reward, -1.0, 1.0) if self.clips_rewards else step.reward
            self.ring.append(step._replace(reward=reward), actions)
        return Row(number, step, opened, actions, seedings, ended)

    def close(self) -> None:
        """Free the emulators."""
        self.environments.close()


class EpisodeTracker:
    """Tracks the score, length and frame checksum of each environment's episode."""

    def __init__(self, environments: int, first_row: int = 0) -> None:
        self.row = first_row - 1
        self._first_rows = np.full(environments, first_row, dtype=np.int64)
        self._scores = np.zeros(environments)
        self._crcs = [0] * environments

    def track(self, step: TimeStep) -> tuple[EndedEpisode, ...]:
        """Add one row; return the episodes that ended before it."""
        self.row += 1
        ended = []
        for i in np.flatnonzero(step.first):
            length = self.row - 1 - int(self._first_rows[i])
            if length > 0:
                first_row, score = int(self._first_rows[i]), float(self._scores[i])
                ended.append(EndedEpisode(int(i), first_row, score, length, self._crcs[i]))
            self._first_rows[i] = self.row
            self._crcs[i] = 0
        self._scores = np.where(step.first, 0.0, self._scores + step.reward)
        for environment, frame in enumerate(step.frame):
            crc = self._crcs[environment]
            self._crcs[environment] = zlib.crc32(np.ascontiguousarray(frame).data, crc)
        return tuple(ended)

    def state(self) -> dict[str, JSON]:
        """The unfinished episodes as JSON; equal states mean equal games so far."""
        return {
            "row": self.row,
            "first_rows": [*self._first_rows.tolist()],
            "scores": [*self._scores.tolist()],
            "crcs": [*self._crcs],
        }


class RunSeeds:
    """Decides when environments are seeded, and with what, from the run's seed alone."""

    def __init__(self, seed: int, environments: int) -> None:
        self.seed = seed
        self._latest_rows: IntArray = np.zeros(environments, dtype=np.int64)

    def at_start(self, row: int, first: BoolArray) -> tuple[Seeding, ...]:
        """Seed every environment."""
        return self._seeded(row, np.arange(len(first)))

    def when_due(self, row: int, first: BoolArray) -> tuple[Seeding, ...]:
        """Seed environments that open an episode and were last seeded long enough ago."""
        due = np.flatnonzero(first & (row - self._latest_rows >= RESEED_PERIOD_ROWS))
        return self._seeded(row, due)

    def note(self, seedings: tuple[Seeding, ...]) -> None:
        """Record seedings that were read from a tape."""
        for seeding in seedings:
            self._latest_rows[seeding.environment] = seeding.row

    def _seeded(self, row: int, environments: IntArray) -> tuple[Seeding, ...]:
        if not len(environments):
            return ()
        entropy = np.random.SeedSequence((self.seed, row)).generate_state(1)
        seeds = environment_seeds(int(entropy[0]), len(self._latest_rows))
        self._latest_rows[environments] = row
        return tuple(Seeding(row, int(i), int(seeds[i])) for i in environments)


def apply_seedings(
    environments: Environments, step: TimeStep, seedings: tuple[Seeding, ...]
) -> TimeStep:
    """Open the seeded episodes; return the row with their first frames."""
    if not seedings:
        return step
    where = np.array([s.environment for s in seedings])
    frame, reward = step.frame.copy(), step.reward.copy()
    discount, first = step.discount.copy(), step.first.copy()
    frame[where] = environments.reseed(where, np.array([s.seed for s in seedings]))
    reward[where], discount[where], first[where] = 0.0, 1.0, True
    return TimeStep(frame, reward, discount, first)
