"""Re-emulating a tape from its first row, to know what the run must have recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from qcade.compute.cores import available_cores
from qcade.events import Episode, Seeding
from qcade.games.opening import open_game
from qcade.play.session import RunSeeds, Session
from qcade.recipe import Recipe
from qcade.tape.format import Tape
from qcade.tape.reemulation import reemulate
from qcade.types import JSON, UInt8Array


@dataclass(frozen=True)
class ReemulatedTape:
    """The games that follow from a tape's seeds and actions."""

    first_row: int
    """The first row that was re-emulated."""
    next_row: int
    """The row after the last one that was re-emulated."""
    environments: int
    """The number of environments, E."""
    episodes: tuple[Episode, ...]
    """Episodes that ended, in order; `frames` counts from `first_row`, `epsilon` is not known."""
    unfinished: dict[int, JSON]
    """The unfinished games after each of the rows of interest, by row."""
    findings: tuple[str, ...]
    """Sentences about actions that the game lacks, and seedings that the recipe does not imply."""

    @property
    def decisions(self) -> int:
        """Decisions of all environments; the first row has none."""
        return max(self.next_row - self.first_row - 1, 0) * self.environments


def reemulate_tape(
    recipe: Recipe,
    tape: Tape,
    rows_of_interest: Collection[int],
    settled_row: int,
    progress: Callable[[int, int], None],
    forked_frames: int = -1,
) -> ReemulatedTape:
    """Re-emulate all rows of a tape of the recipe's game.

    A run that was killed may have lost the last lines of its index, of rows after `settled_row`:
    at a seeding that is missing there, re-emulation ends. The frames up to `forked_frames` were
    played by the parent of a fork, whose recipe may have had another seed. `progress` is called
    with the rows done and their total.
    """
    # All cores are used, whatever the run was trained on: frames do not depend on it.
    environments = open_game(recipe.game, recipe.environments, 0, available_cores())
    session = Session(environments, recipe.environments)
    try:
        return _reemulate_tape(
            session, recipe, tape, rows_of_interest, settled_row, progress, forked_frames
        )
    finally:
        session.close()


def _reemulate_tape(
    session: Session,
    recipe: Recipe,
    tape: Tape,
    rows_of_interest: Collection[int],
    settled_row: int,
    progress: Callable[[int, int], None],
    forked_frames: int,
) -> ReemulatedTape:
    count, first_row = tape.environments, tape.first_row
    actions, findings = _known_actions(tape, len(session.environments.action_meanings))
    seedings, impossible = _possible_seedings(tape)
    findings += impossible
    last_indexed_row = max(
        [s.row for s in tape.seedings] + [e.end_row for e in tape.episodes], default=first_row
    )
    session.begin(first_row)
    run_seeds = RunSeeds(recipe.seed, count)
    episodes: list[Episode] = []
    unfinished: dict[int, JSON] = {}
    next_row = first_row
    for row in reemulate(session, actions, first_row, seedings):
        number, recorded = row.number, set(row.seedings)
        # Which seedings are due depends on the games before this row: none is cut short by a seed.
        is_first = number == first_row
        due = {*(run_seeds.at_start if is_first else run_seeds.when_due)(number, row.opened)}
        if due - recorded and number > max(last_indexed_row - 1, settled_row):
            break
        frames = (number - first_row) * count * recipe.game.frames_per_decision
        if frames > forked_frames:
            findings += _seeding_findings(recorded, due)
        for ended in row.ended:
            episode_number = len(episodes) + 1
            episodes.append(
                Episode(**ended._asdict(), episode=episode_number, frames=frames, epsilon=0.0)
            )
        if number in rows_of_interest:
            unfinished[number] = session.episodes.state()
        next_row = number + 1
        if number % 256 == 0:
            progress(number - first_row, len(actions))
    return ReemulatedTape(first_row, next_row, count, tuple(episodes), unfinished, tuple(findings))


def as_recorded(
    played: ReemulatedTape, recipe: Recipe, episodes_before: int, decisions_before: int
) -> tuple[Episode, ...]:
    """Return the episodes as the run must have recorded them, after those of an earlier tape."""
    per_decision = recipe.game.frames_per_decision

    def complete(episode: Episode) -> Episode:
        decisions = decisions_before + episode.frames // per_decision
        return replace(
            episode,
            episode=episodes_before + episode.episode,
            frames=decisions * per_decision,
        )

    return tuple(complete(episode) for episode in played.episodes)


def _known_actions(tape: Tape, number_of_actions: int) -> tuple[UInt8Array, list[str]]:
    """Return the rows before the first one with an action that the game lacks, and a finding."""
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
    """Return the seedings that are possible, the last if one is repeated, and the findings."""
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
