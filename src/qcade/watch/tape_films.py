"""Re-emulating recorded episodes in full-size colour, and checking that they are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from qcade.events import Episode, Seeding
from qcade.types import JSON, FilmedStep, QcadeError
from qcade.watch.episodes import RecordedRun


class RecordedStep(NamedTuple):
    """A decision of a recorded episode."""

    episode: Episode
    """The episode it belongs to."""
    step: FilmedStep
    """Its pictures and reward."""


def by_segment(
    run: RecordedRun, episodes: Sequence[Episode]
) -> list[tuple[Seeding, list[Episode]]]:
    """Group episodes by the seeding that they follow from, so that each row is emulated once."""
    groups: dict[Seeding, set[Episode]] = defaultdict(set)
    for episode in episodes:
        groups[_seeding_before(run, episode)].add(episode)
    return [
        (seeding, sorted(group, key=lambda episode: episode.first_row))
        for seeding, group in sorted(groups.items())
    ]


def film_steps(
    run: RecordedRun, seeding: Seeding, episodes: Sequence[Episode]
) -> Iterator[RecordedStep]:
    """Re-emulate episodes that follow from one seeding, in order of rows; yield their decisions.

    Rows between them are emulated without pictures. Raises QcadeError if an episode does not open
    or end on its recorded row.
    """
    tape = run.tape
    first = seeding.row + 1
    # The row after the end of an episode opens the next one, which proves the end.
    beyond = episodes[-1].first_row + episodes[-1].length_decisions + 2
    actions = tape.actions[first - tape.first_row : beyond - tape.first_row, seeding.environment]
    owners: dict[int, Episode] = {
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
                raise _other_game(run, owner, "it ends earlier than recorded")
            yield RecordedStep(owner, step)
        elif row in boundaries and not step.first:
            raise _other_game(run, boundaries[row], "it does not open and end as recorded")


def film_each(
    run: RecordedRun, episodes: Sequence[Episode]
) -> Iterator[tuple[Episode, Iterator[FilmedStep]]]:
    """Re-emulate episodes one after the other; each must be used up before the next."""
    for seeding, group in by_segment(run, episodes):
        for episode, steps in groupby(film_steps(run, seeding, group), lambda each: each.episode):
            yield episode, (each.step for each in steps)


def film_one(run: RecordedRun, episode: Episode) -> Iterator[FilmedStep]:
    """Re-emulate one episode."""
    for each in film_steps(run, _seeding_before(run, episode), [episode]):
        yield each.step


def check_score(run: RecordedRun, episode: Episode, score: float) -> None:
    """Raise QcadeError if the emulator's score is not the recorded one."""
    if score != episode.score:
        raise _other_game(
            run, episode, f"the tape says score {episode.score:,g} and the emulator {score:,g}"
        )


def _seeding_before(run: RecordedRun, episode: Episode) -> Seeding:
    before = [
        seeding
        for seeding in run.tape.seedings
        if seeding.environment == episode.environment and seeding.row <= episode.first_row
    ]
    before = [seeding for seeding in before if run.tape.can_play(seeding)]
    if not before:
        raise QcadeError(
            f"{run.path}: the tape has no seed from which episode {episode.episode} follows"
        )
    return max(before)


def _other_game(run: RecordedRun, episode: Episode, what: str) -> QcadeError:
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
        f"{run.path}: episode {episode.episode} is a different game here: {what} ({reason})"
    )


def _change(name: str, recorded: JSON, now: JSON) -> str:
    return f"{name} {recorded}, here it is {now}"
