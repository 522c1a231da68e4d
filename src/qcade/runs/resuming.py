"""Bringing back what a checkpoint does not hold: the replay memory and the games under way."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from qcade.recipe import Recipe, ReplayRecipe
from qcade.runs.directory import RunDirectory
from qcade.runs.frame_store import FOLDER, load_rows, stored_files
from qcade.runs.recorder import metrics_position, tape_position
from qcade.shell import command_line
from qcade.tape.format import Tape, put_tape_aside, read_tape
from qcade.tape.progress import showing_progress
from qcade.training.episodes import Episode
from qcade.training.reemulation import rebuild
from qcade.training.state import Snapshot, Training
from qcade.types import JSON, QcadeError


def restore_memory(
    training: Training,
    snapshot: Snapshot,
    notes: dict[str, JSON],
    directory: RunDirectory,
    console: Console,
    fresh_memory: bool,
    check: Callable[[], None],
) -> None:
    """Refill the memory and lead every emulator into the middle of its game.

    `check` is called often, and may raise to stop while nothing on disk is changed.
    With `fresh_memory` the tape is put aside and taken out of `notes`, so that a new one begins.

    Raises QcadeError, before anything is changed, if the tape does not fit.
    """
    metrics_position(notes)
    if fresh_memory:
        put_tape_aside(directory.path)
        notes.pop("tape", None)
        console.print("Going on with an empty memory and new games.")
        return
    try:
        stored, folder = stored_files(notes), directory.path / FOLDER
        is_whole = all((folder / name).is_file() for name in stored)
        if training.recipe.game.is_replayable and not is_whole:
            notes.pop("frames_files")
            console.print(f"Stored frames are missing in {folder.name}: the tape brings them back.")
        if _takes_stored_frames(training.recipe, notes):
            counters = {
                name: int(str(snapshot.counters[name])) for name in ("next_row", "opening_row")
            }
            if "frames_files" not in notes:
                raise QcadeError("the checkpoint does not say which frames it stored")
            load_rows(folder, stored, training.ring, **counters)
        if not training.recipe.game.is_replayable:
            console.print("This kind of game cannot be replayed: going on with new games.")
            return
        tape = read_tape(directory.path, tape_position(notes))
        _require_same_game(tape, training)
        with showing_progress(console, len(tape.actions)) as progress:
            ended = rebuild(
                training,
                snapshot,
                tape.actions,
                tape.first_row,
                tape.seedings,
                progress,
                check,
            )
        _require_recorded(tape, ended)
    except QcadeError as error:
        raise QcadeError(
            f"{error}; to continue with the weights but an empty memory: "
            f"`{command_line('resume', directory.path, '--fresh-memory')}`"
        ) from error


def _takes_stored_frames(recipe: Recipe, notes: dict[str, JSON]) -> bool:
    if recipe.game.is_replayable:
        # The tape has them too, as after a fork that stores them from now on.
        return recipe.stores_frames and "frames_files" in notes
    # A rollout is of one game; new games begin a new one.
    return isinstance(recipe, ReplayRecipe)


def _require_same_game(tape: Tape, training: Training) -> None:
    recorded, now = tape.header["protocol"], training.recipe.game.protocol()
    if not isinstance(recorded, dict):
        raise QcadeError("the tape does not say what was played")
    for name in sorted(recorded.keys() | now.keys()):
        if recorded.get(name) != now.get(name):
            raise QcadeError(
                f"the tape was recorded with {name} {recorded.get(name)}, here it is "
                f"{now.get(name)}"
            )


def _require_recorded(tape: Tape, ended: list[Episode]) -> None:
    recorded = {(e.environment, e.first_row): e for e in tape.episodes}
    for episode in ended:
        found = recorded.get((episode.environment, episode.first_row))
        if found is None or found.frames_crc != episode.frames_crc:
            raise QcadeError(
                f"the tape does not lead to the recorded frames of the episode that environment "
                f"{episode.environment} opened at row {episode.first_row:,}"
            )
