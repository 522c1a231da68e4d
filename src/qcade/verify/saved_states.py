"""Comparing what checkpoints recorded of a run with its files."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcade.files.appended import FilePosition
from qcade.files.whole import read_json, sha256
from qcade.recipe import Recipe
from qcade.recipe.as_json import flatten, from_json, to_json
from qcade.runs.checkpoint import NEWEST_KEPT
from qcade.runs.layout import CHECKSUMS_FILE, METRICS_FILE, STATE_FILE
from qcade.runs.reading.checkpoints import (
    CHECKED_FILES,
    CheckpointState,
    checkpoint_name,
    list_checkpoints,
    read_state,
)
from qcade.tape.format import INDEX_FILE, TAPE_FILE
from qcade.types import JSON, QcadeError

SECONDS_TO_DELETE = 1.0
MAY_CHANGE = {"total_frames", "game.rom", "game.rom_md5"}
"""Fields of a recipe that may differ from a checkpoint's: the length of the run, and where its ROM
is now, since the tape has the ROM's checksum."""


@dataclass(frozen=True)
class SavedState:
    """The state of a run at a checkpoint, with the checkpoint's name."""

    name: str
    """Name of the checkpoint."""
    state: CheckpointState
    """The content of its state.json."""

    @property
    def next_row(self) -> int:
        """The row after it."""
        return self.state.counters.next_row

    @property
    def positions(self) -> dict[str, FilePosition]:
        """Lengths and checksums of the logs at the checkpoint, by file name."""
        positions = {METRICS_FILE: self.state.metrics}
        if self.state.tape is not None:
            positions |= {TAPE_FILE: self.state.tape.tape, INDEX_FILE: self.state.tape.index}
        return positions


def saved_states(
    folder: Path, is_being_written: bool, findings: list[str]
) -> tuple[list[Path], list[SavedState]]:
    """Check every file of every checkpoint; return their paths, and the states that are intact."""
    paths, states = [], []
    for path in list_checkpoints(folder):
        problems: list[str] = []
        state = _read(path, problems)
        if problems and is_being_written:
            # The run deletes its old checkpoints, perhaps at this moment.
            time.sleep(SECONDS_TO_DELETE)
            if not path.exists():
                continue
        findings += problems
        paths.append(path)
        if state is not None:
            states.append(state)
    return paths, states


def file_findings(
    states: Sequence[SavedState], contents: Mapping[str, bytes | None]
) -> Iterator[str]:
    """Compare the logs with the lengths and checksums that checkpoints recorded."""
    missing = {n for s in states for n in s.positions if n in contents and contents[n] is None}
    yield from (f"{name} is missing" for name in sorted(missing))
    for state in states:
        for name, (length, crc) in state.positions.items():
            content = contents.get(name)
            if content is None:
                continue
            if len(content) < length:
                yield (
                    f"{name} is cut off: only {len(content):,} bytes are left of {length:,} that "
                    f"checkpoint {state.name} recorded"
                )
            elif zlib.crc32(memoryview(content)[:length]) != crc:
                yield (
                    f"{name} was changed: its first {length:,} bytes are not those that "
                    f"checkpoint {state.name} recorded"
                )


def recipe_findings(states: Sequence[SavedState], recipe: Recipe) -> Iterator[str]:
    """Compare recipe.json with the recipe in each checkpoint.

    The length of a run may differ: `qcade resume --frames` changes it.
    """
    now = flatten(to_json(recipe))
    for state in states:
        if not isinstance(state.state.recipe, dict):
            continue
        then = _flat_recipe(state.state.recipe, now)
        for name in sorted((now.keys() | then.keys()) - MAY_CHANGE):
            if now.get(name) != then.get(name):
                yield (
                    f"recipe.json was changed: {name} is {now.get(name)}, and was "
                    f"{then.get(name)} when checkpoint {state.name} was written"
                )
    newest = states[-1] if states else None
    overshoot = recipe.environments * recipe.game.frames_per_decision
    if newest is not None and newest.state.frames >= recipe.total_frames + overshoot:
        yield (
            f"recipe.json was changed: total_frames is {recipe.total_frames:,}, but checkpoint "
            f"{newest.name} is beyond that"
        )


def _flat_recipe(saved: dict[str, JSON], now: dict[str, JSON]) -> dict[str, JSON]:
    """Return a checkpoint's recipe by dotted paths; fields that are newer get their defaults.

    If it cannot be read any more, the result differs from `now` only in fields that both have.
    """
    try:
        return flatten(to_json(from_json(saved)))
    except QcadeError:
        then = flatten(saved)
        return {name: then.get(name, value) for name, value in now.items()}


def stored_frame_findings(
    folder: Path, states: Sequence[SavedState], is_being_written: bool
) -> Iterator[str]:
    """Compare the stored replay memory of the newest checkpoints with its checksums."""
    sums = {
        name: sha
        for each in states[-NEWEST_KEPT:]
        for name, sha in each.state.stored_frames.items()
    }
    for name, sha in sorted(sums.items()):
        try:
            if sha256(folder / name) != sha:
                yield f"{folder.name}/{name} does not match its checksum"
        except OSError:
            if not is_being_written:
                yield f"{folder.name}/{name} is missing"


def _read(path: Path, findings: list[str]) -> SavedState | None:
    try:
        sums = read_json(path / CHECKSUMS_FILE)
    except QcadeError as error:
        findings.append(f"checkpoint {path.name}: {error}")
        return None
    damaged = set()
    for name in CHECKED_FILES:
        try:
            if sums.get(name) == sha256(path / name):
                continue
            findings.append(f"checkpoint {path.name}: {name} does not match its checksum")
        except FileNotFoundError:
            findings.append(f"checkpoint {path.name}: {name} is missing")
        except OSError as error:
            findings.append(f"checkpoint {path.name}: {name} cannot be read: {error.strerror}")
        damaged.add(name)
    if STATE_FILE in damaged:
        return None
    try:
        state = read_state(path)
    except QcadeError as error:
        findings.append(f"checkpoint {path.name}: {STATE_FILE} is not valid ({error})")
        return None
    if path.name != checkpoint_name(state.frames):
        findings.append(f"checkpoint {path.name}: {STATE_FILE} is of frame {state.frames:,}")
    return SavedState(path.name, state)
