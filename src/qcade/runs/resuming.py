"""Bringing back what a checkpoint does not hold: the replay memory and the games under way."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from qcade.recipe import ReplayRecipe
from qcade.runs.directory import RunDirectory
from qcade.runs.frame_store import FOLDER, load_rows
from qcade.runs.recorder import metrics_position, tape_position
from qcade.tape.format import Tape, put_aside, read_tape
from qcade.training.episodes import Episode
from qcade.training.reemulation import rebuild
from qcade.training.state import Snapshot, Training
from qcade.types import JSON, QcadeError


def bring_back(
    training: Training,
    snapshot: Snapshot,
    notes: dict[str, JSON],
    directory: RunDirectory,
    console: Console,
    fresh_memory: bool,
) -> None:
    """Refill the memory and lead every emulator into the middle of its game.

    With `fresh_memory` the tape is put aside and taken out of `notes`, so that a new one begins.

    Raises QcadeError, before anything is changed, if the tape does not fit.
    """
    metrics_position(notes)
    if fresh_memory:
        put_aside(directory.path)
        notes.pop("tape", None)
        console.print("Going on with an empty memory and new games, as asked.")
        return
    try:
        # A rollout is of one game; new games begin a new one.
        of_use = isinstance(training.recipe, ReplayRecipe) or training.recipe.game.is_replayable
        if training.recipe.stores_frames and of_use:
            counters = {
                name: int(str(snapshot.counters[name])) for name in ("next_row", "opening_row")
            }
            load_rows(directory.path / FOLDER, notes.get("frames_files"), training.ring, **counters)
        if not training.recipe.game.is_replayable:
            console.print("This kind of game cannot be replayed: going on with new games.")
            return
        tape = read_tape(directory.path, tape_position(notes))
        _require_same_game(tape, training)
        with Progress(
            TextColumn("playing the tape again"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        ) as bar:
            task = bar.add_task("", total=len(tape.actions))
            ended = rebuild(
                training,
                snapshot,
                tape.actions,
                tape.first_row,
                tape.seedings,
                lambda rows, of: bar.update(task, completed=rows, total=of),
            )
        _require_recorded(tape, ended)
    except QcadeError as error:
        raise QcadeError(
            f"{error}; to go on with the weights but an empty memory: "
            f"qcade resume {directory.path} --fresh-memory"
        ) from error


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
