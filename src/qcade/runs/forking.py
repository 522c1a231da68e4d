"""Starting a new run from a checkpoint of another run, with a changed recipe."""

from __future__ import annotations

import datetime
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from qcade.files.new_folder import take_name, unfinished_folder
from qcade.files.whole import write_json, writing_to
from qcade.games.opening import open_game
from qcade.networks.q_network import build_q_network
from qcade.recipe.as_json import differences
from qcade.recipe.spec import Recipe
from qcade.runs.checkpoint import load_checkpoint, load_weights
from qcade.runs.create import fill_run, fork_path
from qcade.runs.layout import FRAMES_FOLDER, LINEAGE_FILE, METRICS_FILE, TENSORBOARD_FOLDER
from qcade.runs.provenance import provenance
from qcade.runs.reading.checkpoints import CheckpointState
from qcade.runs.reading.run import LINEAGE_FORMAT, Run, open_run
from qcade.runs.tensorboard_file import FILE as SCALARS_FILE
from qcade.tape.format import INDEX_FILE, TAPE_FILE
from qcade.types import JSON, QcadeError


@dataclass(frozen=True)
class Fork:
    """A new run that starts from a checkpoint of another run, its parent."""

    directory: Run
    """The new run."""
    changed: list[str]
    """How its recipe differs from its parent's."""
    keeps_memory: bool
    """Whether the parent's replay memory and unfinished games can be restored."""


def fork_run(
    parent_path: Path, at: str, recipe: Recipe, out: Path | None, rom: Path | None = None
) -> Fork:
    """Create a run from checkpoint `at` of another; QcadeError if its weights do not fit.

    `out` is the path of the new run; None is the next free name next to its parent. `rom` is the
    current path of the parent's ROM; None to search for it by its checksum.
    """
    parent = open_run(parent_path, rom)
    before = parent.recipe()
    checkpoint = parent.choose_checkpoint(at)
    _, state = load_checkpoint(checkpoint)
    _require_fitting(recipe, checkpoint)
    if out is not None and os.path.lexists(out):
        raise _exists(out)
    _require_frames_left(recipe, checkpoint)
    frames = [parent.path / FRAMES_FOLDER / name for name in state.stored_frames]
    # Only the newest two checkpoints have stored frames; the tape covers all of them.
    has_memory = _has_tape(parent, state) if recipe.game.is_replayable else bool(frames)
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
        "parent_provenance": parent.provenance(),
    }
    path, origin = out or fork_path(parent_path), provenance(recipe)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Hidden until it is complete: a partial fork would look like a run.
        with unfinished_folder(path) as unfinished:
            fork = Run(unfinished)
            fill_run(fork, recipe, origin)
            shutil.copytree(checkpoint, fork.checkpoints / checkpoint.name)
            _copy_logs(parent, fork, state, [path for path in frames if path.is_file()])
            write_json(unfinished / LINEAGE_FILE, lineage)
            while not take_name(unfinished, path):
                if out is not None:
                    raise _exists(out)
                path = fork_path(parent_path)
    return Fork(Run(path), changed, keeps_memory)


def starts_empty(run: Run, checkpoint: Path) -> bool:
    """Whether a run continues from its parent's checkpoint without the parent's replay memory."""
    lineage = run.lineage()
    if lineage is None:
        return False
    return not lineage.keeps_memory and lineage.at_frames == int(checkpoint.name)


def _copy_logs(parent: Run, fork: Run, state: CheckpointState, frames: list[Path]) -> None:
    lengths = {
        METRICS_FILE: state.metrics.length_bytes,
        f"{TENSORBOARD_FOLDER}/{SCALARS_FILE}": state.tensorboard.length_bytes,
    }
    if state.tape is not None:
        lengths[TAPE_FILE] = state.tape.tape.length_bytes
        lengths[INDEX_FILE] = state.tape.index.length_bytes
    for name, length_bytes in lengths.items():
        # A missing log is started anew when the fork trains, which prints a message.
        if length_bytes and (parent.path / name).is_file():
            with open(parent.path / name, "rb") as file:
                (fork.path / name).write_bytes(file.read(length_bytes))
    if frames:
        (fork.path / FRAMES_FOLDER).mkdir()
    for path in frames:
        shutil.copyfile(path, fork.path / FRAMES_FOLDER / path.name)


def _has_tape(parent: Run, state: CheckpointState) -> bool:
    try:
        if state.tape is not None:
            parent.tape(state.tape)
    except QcadeError:
        return False
    return state.tape is not None


def _exists(out: Path) -> QcadeError:
    return QcadeError(f"{out} already exists: choose another --out")


def _memory_key(recipe: Recipe) -> tuple[object, ...]:
    return recipe.game, recipe.environments, recipe.stack


def _require_frames_left(recipe: Recipe, checkpoint: Path) -> None:
    frames = int(checkpoint.name)
    if recipe.total_frames <= frames:
        raise QcadeError(
            f"{checkpoint} is at frame {frames:,}, but the fork would end at frame "
            f"{recipe.total_frames:,}: set --frames, which counts from the parent's start, to more "
            f"than {frames:,}"
        )


def _require_fitting(recipe: Recipe, checkpoint: Path) -> None:
    weights = load_weights(checkpoint)
    environments = open_game(recipe.game, 1, 0, 1)
    actions = len(environments.action_meanings)
    environments.close()
    shape = (recipe.stack, *recipe.game.frame_shape)
    expected = build_q_network(recipe.torso, recipe.algorithm, shape, actions, 0).state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        saved_shape = tuple(weights[name].shape) if name in weights else None
        shape_here = tuple(expected[name].shape) if name in expected else None
        if saved_shape != shape_here:
            raise QcadeError(
                f"the weights of {checkpoint} do not fit the changed recipe ({name} is "
                f"{saved_shape}, not {shape_here}): keep the parent's game, torso, streams and "
                "stack"
            )
