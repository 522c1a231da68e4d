"""Starting a new run from a checkpoint of another, with a changed recipe."""

from __future__ import annotations

import datetime
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from qcade.files.new_folder import take_name, unfinished_folder
from qcade.files.versions import check_version
from qcade.files.whole import read_json, write_json, writing_to
from qcade.games.opening import open_game
from qcade.networks.q_network import build_q_network
from qcade.recipe import Recipe
from qcade.recipe_json import differences
from qcade.runs.checkpoint import load_checkpoint, load_weights
from qcade.runs.directory import RunDirectory, fill_run, fork_path, open_run, provenance
from qcade.runs.frame_store import FOLDER, stored_files
from qcade.runs.loading import choose_checkpoint
from qcade.runs.recorder import metrics_position, position_in, tape_position
from qcade.runs.tensorboard_file import FILE as SCALARS_FILE
from qcade.tape.format import INDEX_FILE, TAPE_FILE, read_tape
from qcade.types import JSON, QcadeError

LINEAGE_FORMAT = 1


@dataclass(frozen=True)
class Fork:
    """A new run that begins where another was."""

    directory: RunDirectory
    """The new run."""
    changed: list[str]
    """How its recipe differs from its parent's."""
    keeps_memory: bool
    """Whether the replay memory and the games under way can be brought back for it."""


def fork_run(
    parent_path: Path, at: str, recipe: Recipe, out: Path | None, rom: Path | None = None
) -> Fork:
    """Make a run from a checkpoint of another; QcadeError if its weights do not fit.

    It goes to `out`; None is the next free name beside its parent. `rom` is where the parent's ROM
    is now; None to look for it by its checksum.
    """
    parent = open_run(parent_path, rom)
    before = parent.recipe()
    checkpoint = choose_checkpoint(parent, at)
    _, notes = load_checkpoint(checkpoint)
    _require_fitting(recipe, checkpoint)
    if out is not None and os.path.lexists(out):
        raise _exists(out)
    _require_frames_left(recipe, checkpoint)
    frames = [parent.path / FOLDER / name for name in stored_files(notes)]
    # Frames are kept of the newest two checkpoints alone, the tape is kept of all.
    has_memory = _has_tape(parent, notes) if recipe.game.is_replayable else bool(frames)
    if recipe.stores_frames:
        has_memory = has_memory and all(path.is_file() for path in frames)
    keeps_memory = _memory_key(before) == _memory_key(recipe) and has_memory
    changed = differences(before, recipe)
    lineage: dict[str, JSON] = {
        "format": LINEAGE_FORMAT,
        "parent": str(parent_path.absolute()),
        "at_frames": int(checkpoint.name),
        "changed": [*changed],
        "forked": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "keeps_memory": keeps_memory,
        "parent_provenance": _parent_provenance(parent),
    }
    path, origin = out or fork_path(parent_path), provenance(recipe)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Hidden until it is whole: half a fork would be taken for a run.
        with unfinished_folder(path) as unfinished:
            fork = RunDirectory(unfinished)
            fill_run(fork, recipe, origin)
            shutil.copytree(checkpoint, fork.checkpoints / checkpoint.name)
            _copy_logs(parent, fork, notes, [path for path in frames if path.is_file()])
            write_json(unfinished / "lineage.json", lineage)
            while not take_name(unfinished, path):
                if out is not None:
                    raise _exists(out)
                path = fork_path(parent_path)
    return Fork(RunDirectory(path), changed, keeps_memory)


def read_lineage(run_path: Path) -> dict[str, JSON]:
    """Where a fork began; QcadeError if that cannot be read."""
    path = run_path / "lineage.json"
    lineage = read_json(path)
    # Up to 8f59885 it had no version.
    check_version(lineage.get("format", 1), LINEAGE_FORMAT, str(path))
    return lineage


def starts_empty(run: RunDirectory, checkpoint: Path) -> bool:
    """Whether a run is to go on from a checkpoint of its parent's whose memory it cannot have."""
    if not (run.path / "lineage.json").is_file():
        return False
    lineage = read_lineage(run.path)
    return lineage.get("keeps_memory") is False and lineage.get("at_frames") == int(checkpoint.name)


def _copy_logs(
    parent: RunDirectory, fork: RunDirectory, notes: dict[str, JSON], frames: list[Path]
) -> None:
    lengths = {
        "metrics.jsonl": metrics_position(notes).length_bytes,
        f"tensorboard/{SCALARS_FILE}": position_in(notes, "tensorboard").length_bytes,
    }
    if "tape" in notes:
        position = tape_position(notes)
        lengths[TAPE_FILE] = position.tape.length_bytes
        lengths[INDEX_FILE] = position.index.length_bytes
    for name, length_bytes in lengths.items():
        # What is missing begins anew in the fork, which says so.
        if length_bytes and (parent.path / name).is_file():
            with open(parent.path / name, "rb") as file:
                (fork.path / name).write_bytes(file.read(length_bytes))
    if frames:
        (fork.path / FOLDER).mkdir()
    for path in frames:
        shutil.copyfile(path, fork.path / FOLDER / path.name)


def _has_tape(parent: RunDirectory, notes: dict[str, JSON]) -> bool:
    try:
        read_tape(parent.path, tape_position(notes))
    except QcadeError:
        return False
    return True


def _parent_provenance(parent: RunDirectory) -> JSON:
    try:
        return read_json(parent.path / "provenance.json")
    except QcadeError:
        return None


def _exists(out: Path) -> QcadeError:
    return QcadeError(f"{out} exists already: choose another --out")


def _memory_key(recipe: Recipe) -> tuple[object, ...]:
    return recipe.game, recipe.environments, recipe.stack


def _require_frames_left(recipe: Recipe, checkpoint: Path) -> None:
    frames = int(checkpoint.name)
    if recipe.total_frames <= frames:
        raise QcadeError(
            f"{checkpoint} is at frame {frames:,}, and the fork is to end at frame "
            f"{recipe.total_frames:,}, before it could train: give --frames, counted from the "
            f"parent's start, more than {frames:,}"
        )


def _require_fitting(recipe: Recipe, checkpoint: Path) -> None:
    weights = load_weights(checkpoint)
    environments = open_game(recipe.game, 1, 0, 1)
    actions = len(environments.action_meanings)
    environments.close()
    shape = (recipe.stack, *recipe.game.frame_shape)
    wanted = build_q_network(recipe.torso, recipe.algorithm, shape, actions, 0).state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        have = tuple(weights[name].shape) if name in weights else None
        want = tuple(wanted[name].shape) if name in wanted else None
        if have != want:
            raise QcadeError(
                f"the weights of {checkpoint} do not fit the changed recipe ({name} is {have}, "
                f"not {want}): keep game, torso, streams and stack as they were"
            )
