"""Checkpoints: folders that are either complete or absent, with checksums and without pickle."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import defaultdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from qcade.agent.finite import require_finite
from qcade.agent.learner import LearnerState
from qcade.files.whole import flush_folder, sha256, write_json, write_whole
from qcade.runs.layout import CHECKSUMS_FILE, LEARNING_FILE, STATE_FILE, WEIGHTS_FILE
from qcade.runs.reading.checkpoints import (
    CHECKED_FILES,
    CheckpointState,
    best_checkpoint,
    checkpoint_name,
    list_checkpoints,
    read_state,
    state_to_json,
    verify_checkpoint,
)
from qcade.training.counters import Counters
from qcade.training.snapshot import Snapshot
from qcade.types import JSON, NotFinite, QcadeError

NEWEST_KEPT = 2


def save_checkpoint(folder: Path, snapshot: Snapshot, state: CheckpointState) -> Path:
    """Write a checkpoint into a new folder in `folder`; return its path."""
    final = folder / checkpoint_name(state.frames)
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write_whole(temporary / WEIGHTS_FILE, _to_bytes(snapshot.weights))
        write_whole(temporary / LEARNING_FILE, _to_bytes(_flattened(snapshot)))
        write_json(temporary / STATE_FILE, state_to_json(state))
        sums: dict[str, JSON] = {name: sha256(temporary / name) for name in CHECKED_FILES}
        write_json(temporary / CHECKSUMS_FILE, sums)
        _delete(final)
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    flush_folder(folder)
    return final


def load_checkpoint(path: Path) -> tuple[Snapshot, CheckpointState]:
    """Read a checkpoint; QcadeError names the file that is damaged."""
    verify_checkpoint(path)
    state = read_state(path)
    learning = _from_file(path / LEARNING_FILE)
    return _snapshot(_finite_weights(path), learning, state.counters), state


def _flattened(snapshot: Snapshot) -> dict[str, Tensor]:
    """Return all tensors but the weights in one dict, with keys `section.name`."""
    slots = {
        f"{index}.{name}": value
        for index, slot in snapshot.learner.optimizer.items()
        for name, value in slot.items()
    }
    sections: dict[str, dict[str, Tensor]] = {
        "target": snapshot.learner.target,
        "optimizer": slots,
        "random": {"actor": snapshot.actor_random, "noise": snapshot.noise_random},
        "updates": snapshot.source,
        "metric": snapshot.metric_sums,
    }
    return {
        f"{section}.{name}": tensor
        for section, tensors in sections.items()
        for name, tensor in tensors.items()
    }


def _snapshot(
    weights: dict[str, Tensor], flattened: dict[str, Tensor], counters: Counters
) -> Snapshot:
    sections: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in flattened.items():
        section, _, name = key.partition(".")
        sections[section][name] = tensor
    slots: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in sections["optimizer"].items():
        index, _, name = key.partition(".")
        slots[int(index)][name] = tensor
    return Snapshot(
        weights=weights,
        learner=LearnerState(sections["target"], dict(slots)),
        actor_random=sections["random"]["actor"],
        noise_random=sections["random"]["noise"],
        source=sections["updates"],
        metric_sums=sections["metric"],
        counters=counters,
    )


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read only the online network's weights; NotFinite if any of them is not finite."""
    verify_checkpoint(path)
    return _finite_weights(path)


def _finite_weights(path: Path) -> dict[str, Tensor]:
    weights = _from_file(path / WEIGHTS_FILE)
    try:
        require_finite(weights, f"checkpoint {path}")
    except NotFinite as error:
        # Earlier versions kept training with such weights, and saved them.
        raise NotFinite(
            f"{error}: move that folder away to use an earlier checkpoint, or train again with a "
            "smaller step size"
        ) from None
    return weights


def prune_checkpoints(folder: Path) -> None:
    """Keep the newest two checkpoints and the one with the best mean score; delete the others.

    Temporary folders that killed processes left are deleted too.
    """
    checkpoints = list_checkpoints(folder)
    kept = set(checkpoints[-NEWEST_KEPT:])
    best = best_checkpoint(folder)
    for path in checkpoints:
        if path not in kept and path != best:
            _delete(path)
    for leftover in folder.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _delete(path: Path) -> None:
    # Renamed first, since a kill must not leave a partial folder under a checkpoint's name.
    renamed = path.with_name(f".{path.name}.dropped.tmp")
    shutil.rmtree(renamed, ignore_errors=True)
    # On Windows a folder that is being read cannot be renamed; the next call deletes it.
    with contextlib.suppress(OSError):
        path.rename(renamed)
    shutil.rmtree(renamed, ignore_errors=True)


def _to_bytes(tensors: dict[str, Tensor]) -> bytes:
    return tensors_to_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()})


def _from_file(path: Path) -> dict[str, Tensor]:
    try:
        return tensors_from_bytes(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise QcadeError(f"{path} cannot be read: {error}") from None
