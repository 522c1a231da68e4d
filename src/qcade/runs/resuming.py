"""Restoring what a checkpoint does not hold: the replay memory and the unfinished games."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from rich.console import Console

from qcade.play.session import EndedEpisode
from qcade.recipe import Recipe, ReplayRecipe
from qcade.runs.frame_store import load_rows
from qcade.runs.layout import FRAMES_FOLDER
from qcade.runs.reading.checkpoints import CheckpointState
from qcade.runs.reading.run import Run
from qcade.shell import command_line
from qcade.tape.format import Tape, set_tape_aside
from qcade.tape.progress import showing_progress
from qcade.training.parts import Training
from qcade.training.snapshot import restore_games
from qcade.types import QcadeError


def restore_memory(
    training: Training,
    state: CheckpointState,
    run: Run,
    console: Console,
    fresh_memory: bool,
    check: Callable[[], None],
) -> CheckpointState:
    """Refill the replay memory, and bring every emulator to its state at the checkpoint.

    `check` is called often, and may raise to stop before anything on disk is changed. Returns the
    state that the run continues from: with `fresh_memory` the tape is set aside, and a new one is
    started.

    Raises QcadeError, before anything is changed, if the tape does not fit the run.
    """
    if fresh_memory:
        set_tape_aside(run.path)
        console.print("Continuing with an empty memory and new games.")
        return dataclasses.replace(state, tape=None)
    game, folder = training.recipe.game, run.path / FRAMES_FOLDER
    try:
        is_whole = all((folder / name).is_file() for name in state.stored_frames)
        if game.is_replayable and not is_whole:
            state = dataclasses.replace(state, stored_frames={})
            console.print(
                f"Stored frames are missing in {folder.name}: restoring them from the tape."
            )
        if _uses_stored_frames(training.recipe, state):
            if not state.stored_frames:
                raise QcadeError("the checkpoint does not list its stored frames")
            counters = state.counters
            load_rows(
                folder,
                state.stored_frames,
                training.ring,
                counters.next_row,
                counters.opening_row,
            )
        if not game.is_replayable:
            console.print(
                "This kind of game cannot be played again from a tape: continuing with new games."
            )
            return state
        if state.tape is None:
            raise QcadeError("the checkpoint does not record the length of the tape")
        tape = run.tape(state.tape)
        _require_same_game(tape, training)
        with showing_progress(console, len(tape.actions)) as progress:
            ended = restore_games(
                training,
                state.counters,
                tape.actions,
                tape.first_row,
                tape.seedings,
                progress,
                check,
            )
        _require_recorded(tape, ended)
        return state
    except QcadeError as error:
        raise QcadeError(
            f"{error}; to continue with the weights but an empty memory: "
            f"`{command_line('resume', run.path, '--fresh-memory')}`"
        ) from error


def _uses_stored_frames(recipe: Recipe, state: CheckpointState) -> bool:
    if recipe.game.is_replayable:
        # Otherwise the tape restores them, as in a fork that stores frames but had none to copy.
        return recipe.stores_frames and bool(state.stored_frames)
    # A rollout does not continue across games: new games start a new one.
    return isinstance(recipe, ReplayRecipe)


def _require_same_game(tape: Tape, training: Training) -> None:
    recorded, now = tape.header["protocol"], training.recipe.game.protocol()
    if not isinstance(recorded, dict):
        raise QcadeError("the tape does not record its game")
    for name in sorted(recorded.keys() | now.keys()):
        if recorded.get(name) != now.get(name):
            raise QcadeError(
                f"the tape was recorded with {name} {recorded.get(name)}, here it is "
                f"{now.get(name)}"
            )


def _require_recorded(tape: Tape, ended: list[EndedEpisode]) -> None:
    recorded = {(e.environment, e.first_row): e for e in tape.episodes}
    for episode in ended:
        match = recorded.get((episode.environment, episode.first_row))
        if match is None or match.frames_crc != episode.frames_crc:
            raise QcadeError(
                f"played again, the tape does not give the recorded frames of the episode that "
                f"environment {episode.environment} opened at row {episode.first_row:,}"
            )
