"""What checkpoints say of a run, compared with its files."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcade.files.appended import FilePosition
from qcade.files.whole import read_json, sha256
from qcade.recipe import Recipe
from qcade.recipe_json import flatten, from_json, to_json
from qcade.runs.checkpoint import (
    CHECKSUMS,
    LEARNING,
    MODEL,
    NEWEST_KEPT,
    STATE,
    checked_counters,
    list_checkpoints,
)
from qcade.runs.frame_store import stored_files
from qcade.runs.recorder import metrics_position, tape_position
from qcade.tape.format import INDEX_FILE, TAPE_FILE
from qcade.types import JSON, QcadeError

METRICS_FILE = "metrics.jsonl"
SECONDS_TO_DELETE = 1.0
MAY_CHANGE = {"total_frames", "game.rom", "game.rom_md5"}
"""Fields of a recipe that may differ from a checkpoint's: how long the run is, and where its ROM is
now, whose checksum the tape has."""


@dataclass(frozen=True)
class SavedState:
    """What the state.json of a checkpoint says of the run up to it."""

    name: str
    """Name of the checkpoint."""
    frames: int
    """Emulator frames of the run."""
    next_row: int
    """Row that comes after it."""
    opening_row: int
    """Row at which the games on the tape were opened."""
    decisions: int
    """Decisions of the run."""
    episodes: int
    """Episodes of the run."""
    under_way: JSON
    """The unfinished games."""
    scores: JSON
    """The last scores and the best."""
    mean_score: JSON
    """Mean of the last scores, once there are enough."""
    recipe: JSON
    """The recipe, or None if an earlier qcade wrote it."""
    positions: Mapping[str, FilePosition]
    """How long the logs were, by name, and their checksums."""
    stored: Mapping[str, str]
    """Checksums of the files that hold the replay memory, by name."""


def saved_states(
    folder: Path, is_being_written: bool, findings: list[str]
) -> tuple[list[Path], list[SavedState]]:
    """Check every file of every checkpoint; return all, and what the sound ones say."""
    paths, states = [], []
    for path in list_checkpoints(folder):
        own: list[str] = []
        state = _read(path, own)
        if own and is_being_written:
            # The run deletes its old checkpoints, perhaps just now.
            time.sleep(SECONDS_TO_DELETE)
            if not path.exists():
                continue
        findings += own
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
                    f"{name} is cut off: {len(content):,} bytes are left of the {length:,} that "
                    f"checkpoint {state.name} recorded"
                )
            elif zlib.crc32(memoryview(content)[:length]) != crc:
                yield (
                    f"{name} was changed: its first {length:,} bytes are not those that "
                    f"checkpoint {state.name} recorded"
                )


def recipe_findings(states: Sequence[SavedState], recipe: Recipe) -> Iterator[str]:
    """Compare recipe.json with the recipe that each checkpoint was made by.

    The length of a run may change: `qcade resume --frames` does that.
    """
    now = flatten(to_json(recipe))
    for state in states:
        if not isinstance(state.recipe, dict):
            continue
        then = _flat_recipe(state.recipe, now)
        for name in sorted((now.keys() | then.keys()) - MAY_CHANGE):
            if now.get(name) != then.get(name):
                yield (
                    f"recipe.json was changed: {name} is {now.get(name)}, and was "
                    f"{then.get(name)} when checkpoint {state.name} was written"
                )
    newest = states[-1] if states else None
    overshoot = recipe.environments * recipe.game.frames_per_decision
    if newest is not None and newest.frames >= recipe.total_frames + overshoot:
        yield (
            f"recipe.json was changed: total_frames is {recipe.total_frames:,}, but checkpoint "
            f"{newest.name} lies beyond"
        )


def _flat_recipe(saved: dict[str, JSON], now: dict[str, JSON]) -> dict[str, JSON]:
    """A checkpoint's recipe by dotted paths; fields that are newer than it have their defaults.

    Where it cannot be read any more, only the fields that it has in common with `now` are told.
    """
    try:
        return flatten(to_json(from_json(saved)))
    except QcadeError:
        then = flatten(saved)
        return {name: then.get(name, value) for name, value in now.items()}


def stored_frame_findings(
    folder: Path, states: Sequence[SavedState], is_being_written: bool
) -> Iterator[str]:
    """Compare the stored replay memory with its checksums; older checkpoints' files are deleted."""
    sums = {name: sha for state in states[-NEWEST_KEPT:] for name, sha in state.stored.items()}
    for name, sha in sorted(sums.items()):
        try:
            if sha256(folder / name) != sha:
                yield f"{folder.name}/{name} does not match its checksum"
        except OSError:
            if not is_being_written:
                yield f"{folder.name}/{name} is missing"


def _read(path: Path, findings: list[str]) -> SavedState | None:
    try:
        sums = read_json(path / CHECKSUMS)
    except QcadeError as error:
        findings.append(f"checkpoint {path.name}: {error}")
        return None
    damaged = set()
    for name in (MODEL, LEARNING, STATE):
        try:
            if sums.get(name) == sha256(path / name):
                continue
            findings.append(f"checkpoint {path.name}: {name} does not match its checksum")
        except FileNotFoundError:
            findings.append(f"checkpoint {path.name}: {name} is missing")
        except OSError as error:
            findings.append(f"checkpoint {path.name}: {name} cannot be read: {error.strerror}")
        damaged.add(name)
    if STATE in damaged:
        return None
    try:
        state = _state(path)
    except (QcadeError, AttributeError, KeyError, TypeError, ValueError) as error:
        findings.append(f"checkpoint {path.name}: {STATE} is not whole ({error})")
        return None
    if state.name != f"{state.frames:012d}":
        findings.append(f"checkpoint {path.name}: {STATE} is of frame {state.frames:,}")
    return state


def _state(path: Path) -> SavedState:
    notes: dict[str, Any] = read_json(path / STATE)
    counters = checked_counters(notes, path)
    positions = {METRICS_FILE: metrics_position(notes)}
    if "tape" in notes:
        tape = tape_position(notes)
        positions |= {TAPE_FILE: tape.tape, INDEX_FILE: tape.index}
    next_row, opening_row, decisions, episodes = (
        int(str(counters[name])) for name in ("next_row", "opening_row", "decisions", "episodes")
    )
    return SavedState(
        path.name,
        int(notes["frames"]),
        next_row,
        opening_row,
        decisions,
        episodes,
        counters["under_way"],
        notes["scores"],
        notes["mean_score"],
        notes.get("recipe"),
        positions,
        stored_files(notes),
    )
