"""Playing recorded episodes again in full-size colour, and proving that they are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from qcade.playback.episodes import RecordedRun
from qcade.tape.format import RecordedEpisode
from qcade.training.events import Seeding
from qcade.types import JSON, FilmedStep, QcadeError


class ReplayedStep(NamedTuple):
    """A decision of a recorded episode."""

    episode: RecordedEpisode
    """The episode that it is of."""
    step: FilmedStep
    """What was to be seen."""


def by_segment(
    run: RecordedRun, episodes: Sequence[RecordedEpisode]
) -> list[tuple[Seeding, list[RecordedEpisode]]]:
    """Group episodes by the seeding they follow from, so that each is emulated once."""
    groups: dict[Seeding, set[RecordedEpisode]] = defaultdict(set)
    for episode in episodes:
        groups[_seeding_before(run, episode)].add(episode)
    return [
        (seeding, sorted(group, key=lambda episode: episode.first_row))
        for seeding, group in sorted(groups.items())
    ]


def replay(
    run: RecordedRun, seeding: Seeding, episodes: Sequence[RecordedEpisode]
) -> Iterator[ReplayedStep]:
    """Play from a seeding on, through some episodes in the order of rows; yield their decisions.

    What lies between them is emulated without pictures. Raises QcadeError where an episode does
    not open or end on its row.
    """
    tape = run.tape
    first = seeding.row + 1
    # The row after an end opens the next episode, which proves the end.
    beyond = episodes[-1].first_row + episodes[-1].length_decisions + 2
    actions = tape.actions[first - tape.first_row : beyond - tape.first_row, seeding.environment]
    owners: dict[int, RecordedEpisode] = {
        row: episode
        for episode in episodes
        for row in range(episode.first_row + 1, episode.first_row + 1 + episode.length_decisions)
    }
    boundaries = {
        row: episode
        for episode in episodes
        for row in (episode.first_row, episode.first_row + episode.length_decisions + 1)
    }
    filmed = run.game.film(
        seeding.seed, (int(action) for action in actions), lambda step: first + step in owners
    )
    for row, step in enumerate(filmed, first):
        owner = owners.get(row)
        if owner is not None:
            if step.first:
                raise _other_game(run, owner, "it ended earlier than recorded")
            yield ReplayedStep(owner, step)
        elif row in boundaries and not step.first:
            raise _other_game(run, boundaries[row], "it does not open and end as recorded")


def replay_each(
    run: RecordedRun, episodes: Sequence[RecordedEpisode]
) -> Iterator[tuple[RecordedEpisode, Iterator[FilmedStep]]]:
    """Play episodes one after the other; each is to be used before the next is asked for."""
    for seeding, group in by_segment(run, episodes):
        for episode, steps in groupby(replay(run, seeding, group), lambda each: each.episode):
            yield episode, (each.step for each in steps)


def replay_one(run: RecordedRun, episode: RecordedEpisode) -> Iterator[FilmedStep]:
    """Play one episode."""
    for replayed in replay(run, _seeding_before(run, episode), [episode]):
        yield replayed.step


def check_score(run: RecordedRun, episode: RecordedEpisode, score: float) -> None:
    """Raise QcadeError if the emulator's score is not the recorded one."""
    if score != episode.score:
        raise _other_game(
            run, episode, f"the tape says score {episode.score:,g} and the emulator {score:,g}"
        )


def _seeding_before(run: RecordedRun, episode: RecordedEpisode) -> Seeding:
    before = [
        seeding
        for seeding in run.tape.seedings
        if seeding.environment == episode.environment and seeding.row <= episode.first_row
    ]
    before = [seeding for seeding in before if run.tape.can_play(seeding)]
    if not before:
        raise QcadeError(f"{run.path}: the tape has no seed from which {episode.episode} follows")
    return max(before)


def _other_game(run: RecordedRun, episode: RecordedEpisode, what: str) -> QcadeError:
    recorded, now = run.tape.header.get("protocol"), run.game.protocol()
    changed: list[str] = []
    if isinstance(recorded, dict):
        changed = [
            _change(name, recorded.get(name), value)
            for name, value in now.items()
            if recorded.get(name) != value
        ]
    reason = f"recorded with {', '.join(changed)}" if changed else "the tape was changed"
    return QcadeError(
        f"{run.path}: episode {episode.episode} is another game here: {what} ({reason})"
    )


def _change(name: str, recorded: JSON, now: JSON) -> str:
    return f"{name} {recorded}, here it is {now}"
