"""Playing a tape again from its first row: what must have been recorded if all of it was played."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from qcade.games.opening import open_game
from qcade.machine import available_cores
from qcade.parts import Environments
from qcade.recipe import Recipe
from qcade.tape.format import RecordedEpisode, Tape
from qcade.training.episodes import EpisodeTracker
from qcade.training.events import Seeding
from qcade.training.reemulation import reemulate
from qcade.training.seeding import seedings_at_start, seedings_due
from qcade.types import JSON, BoolArray, IntArray, TimeStep, UInt8Array


@dataclass(frozen=True)
class PlayedAgain:
    """What the emulators did with a tape's seeds and actions."""

    first_row: int
    """The first row that was played."""
    next_row: int
    """The row after the last one that was played."""
    environments: int
    """E"""
    episodes: tuple[RecordedEpisode, ...]
    """Those that ended, in order; `frames` counts from `first_row` on, `epsilon` is not known."""
    under_way: dict[int, dict[str, JSON]]
    """The unfinished games after the rows that were asked for."""
    findings: tuple[str, ...]
    """Actions that the game does not have, seedings that the recipe does not lead to."""

    @property
    def decisions(self) -> int:
        """Decisions of all environments; the first row holds none."""
        return max(self.next_row - self.first_row - 1, 0) * self.environments


def end_row(episode: RecordedEpisode) -> int:
    """The row that shows that an episode has ended: its successor opens with it."""
    return episode.first_row + episode.length_decisions + 1


def play_again(
    recipe: Recipe,
    tape: Tape,
    rows_of_interest: Collection[int],
    settled_row: int,
    progress: Callable[[int, int], None],
    forked_frames: int = -1,
) -> PlayedAgain:
    """Play all rows of a tape of the recipe's game.

    After `settled_row` a run that was killed may have lost the last lines of its index: where a
    seeding is missing there, playing ends. Up to `forked_frames` the run was another's, whose
    recipe may have had another seed.
    """
    # On all cores, whatever the run computed on: no frame depends on it.
    environments = _Watched(open_game(recipe.game, recipe.environments, 0, available_cores()))
    try:
        return _play_again(
            environments, recipe, tape, rows_of_interest, settled_row, progress, forked_frames
        )
    finally:
        environments.close()


def _play_again(
    environments: _Watched,
    recipe: Recipe,
    tape: Tape,
    rows_of_interest: Collection[int],
    settled_row: int,
    progress: Callable[[int, int], None],
    forked_frames: int,
) -> PlayedAgain:
    count, first_row = tape.environments, tape.first_row
    actions, findings = _known_actions(tape, len(environments.action_meanings))
    seedings, strange = _possible_seedings(tape)
    findings += strange
    last_indexed_row = max(
        [s.row for s in tape.seedings] + [end_row(e) for e in tape.episodes], default=first_row
    )
    tracker = EpisodeTracker(count, first_row)
    seeded_rows = np.full(count, first_row, np.int64)
    episodes: list[RecordedEpisode] = []
    under_way: dict[int, dict[str, JSON]] = {}
    next_row = first_row
    for row, step, here in reemulate(environments, actions, first_row, seedings, first_row):
        # What is due hangs on the games before anything was seeded: none is cut short by a seed.
        opened = step._replace(first=environments.first)
        due = (
            seedings_at_start(row, count, recipe.seed)
            if row == first_row
            else seedings_due(opened, row, seeded_rows, count, recipe.seed)
        )
        if set(due) - set(here) and row > max(last_indexed_row - 1, settled_row):
            break
        frames = (row - first_row) * count * recipe.game.frames_per_decision
        if frames > forked_frames:
            findings += _seeding_findings(set(here), set(due))
        for seeding in due:
            seeded_rows[seeding.environment] = row
        for ended in tracker.track(step):
            number = len(episodes) + 1
            episodes.append(RecordedEpisode(number, **ended._asdict(), frames=frames, epsilon=0.0))
        if row in rows_of_interest:
            under_way[row] = tracker.state()
        next_row = row + 1
        if row % 256 == 0:
            progress(row - first_row, len(actions))
    return PlayedAgain(first_row, next_row, count, tuple(episodes), under_way, tuple(findings))


def as_recorded(
    played: PlayedAgain, recipe: Recipe, episodes_before: int, decisions_before: int
) -> tuple[RecordedEpisode, ...]:
    """The episodes as the run must have written them, given what it had played before the tape."""
    per_decision = recipe.game.frames_per_decision

    def complete(episode: RecordedEpisode) -> RecordedEpisode:
        decisions = decisions_before + episode.frames // per_decision
        return replace(
            episode,
            episode=episodes_before + episode.episode,
            frames=decisions * per_decision,
        )

    return tuple(complete(episode) for episode in played.episodes)


class _Watched:
    """Environments that remember which of them opened an episode by themselves."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self.first: BoolArray = np.zeros(0, np.bool_)

    @property
    def action_meanings(self) -> tuple[str, ...]:
        return self._environments.action_meanings

    def reset(self) -> TimeStep:
        return self._watch(self._environments.reset())

    def send(self, actions: IntArray) -> None:
        self._environments.send(actions)

    def recv(self) -> TimeStep:
        return self._watch(self._environments.recv())

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        return self._environments.reseed(environments, seeds)

    def close(self) -> None:
        self._environments.close()

    def _watch(self, step: TimeStep) -> TimeStep:
        self.first = step.first.copy()
        return step


def _known_actions(tape: Tape, number_of_actions: int) -> tuple[UInt8Array, list[str]]:
    """The rows up to the first that holds an action which the game does not have."""
    unknown = np.argwhere(tape.actions >= number_of_actions)
    if not len(unknown):
        return tape.actions, []
    row, environment = (int(i) for i in unknown[0])
    sentence = (
        f"tape.bin: row {tape.first_row + row:,} holds action {tape.actions[row, environment]} of "
        f"environment {environment}, but the game has {number_of_actions} actions"
    )
    return tape.actions[:row], [sentence]


def _possible_seedings(tape: Tape) -> tuple[list[Seeding], list[str]]:
    """Those that an emulator can be given, the last of equal ones."""
    possible: dict[tuple[int, int], Seeding] = {}
    findings = []
    for seeding in tape.seedings:
        row, environment, seed = seeding
        is_whole = all(isinstance(value, int) for value in seeding)
        if is_whole and 0 <= environment < tape.environments and 0 < seed < 2**31:
            if (row, environment) in possible:
                findings.append(f"tape.index: {_phrase(seeding)} is recorded twice")
            possible[row, environment] = seeding
        else:
            findings.append(f"tape.index: {_phrase(seeding)} is impossible")
    return list(possible.values()), findings


def _seeding_findings(recorded: set[Seeding], due: set[Seeding]) -> list[str]:
    return [
        f"tape.index: {_phrase(seeding)} is recorded, but does not follow from the recipe's seed"
        for seeding in sorted(recorded - due)
    ] + [
        f"tape.index: {_phrase(seeding)} follows from the recipe's seed, but is not recorded"
        for seeding in sorted(due - recorded)
    ]


def _phrase(seeding: Seeding) -> str:
    return f"seed {seeding.seed} of environment {seeding.environment} at row {seeding.row}"
