"""Checkpoints: a folder that appears whole or not at all, with checksums and without pickle."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from qcade.agent.finite import require_finite
from qcade.checks import check_value, number_or_none
from qcade.files.versions import check_version
from qcade.files.whole import flush_folder, read_json, sha256, write_json, write_whole
from qcade.training.state import Snapshot
from qcade.types import JSON, Count, NotFinite, QcadeError

FORMAT_VERSION = 1
MODEL, LEARNING, STATE, CHECKSUMS = (
    "model.safetensors",
    "optimizer.safetensors",
    "state.json",
    "checksums.json",
)
COUNTERS = ("decisions", "updates", "episodes", "metric_count", "next_row", "opening_row")
NEWEST_KEPT = 2
_NAME = re.compile(r"[0-9]{12,18}")


def checkpoint_name(frames: int) -> str:
    """The folder's name: twelve digits, so that names sort by time."""
    return f"{frames:012d}"


def save_checkpoint(folder: Path, frames: int, snapshot: Snapshot, notes: dict[str, JSON]) -> Path:
    """Write a checkpoint below `folder`; `notes` (scores, log lengths) go into state.json."""
    final = folder / checkpoint_name(frames)
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write_whole(temporary / MODEL, _to_bytes(snapshot.model))
        write_whole(temporary / LEARNING, _to_bytes(snapshot.learning))
        state: dict[str, JSON] = {
            "format": FORMAT_VERSION,
            "frames": frames,
            "counters": snapshot.counters,
            **notes,
        }
        write_json(temporary / STATE, state)
        sums: dict[str, JSON] = {n: sha256(temporary / n) for n in (MODEL, LEARNING, STATE)}
        write_json(temporary / CHECKSUMS, sums)
        _drop(final)
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    flush_folder(folder)
    return final


def load_checkpoint(path: Path) -> tuple[Snapshot, dict[str, JSON]]:
    """Read a checkpoint and its state.json; QcadeError naming the file that is damaged."""
    verify_checkpoint(path)
    state = read_json(path / STATE)
    counters = checked_counters(state, path)
    return Snapshot(_finite_weights(path), _from_file(path / LEARNING), counters), state


def checked_counters(state: dict[str, JSON], path: Path) -> dict[str, JSON]:
    """The counters in the state.json of a checkpoint; QcadeError names the one that is wrong."""
    check_version(state.get("format"), FORMAT_VERSION, f"checkpoint {path}")
    counters = state.get("counters")
    if not isinstance(counters, dict):
        raise QcadeError(f"checkpoint {path}: {STATE} has no counters")
    for name in COUNTERS:
        check_value(counters.get(name), Count, f"checkpoint {path}: counters.{name}")
    sent = counters.get("sent_actions", [])
    actions = tuple(sent) if isinstance(sent, list) else sent
    check_value(actions, tuple[Count, ...], f"checkpoint {path}: counters.sent_actions")
    return counters


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read the online network's weights alone; NotFinite if they are not all numbers."""
    verify_checkpoint(path)
    return _finite_weights(path)


def _finite_weights(path: Path) -> dict[str, Tensor]:
    weights = _from_file(path / MODEL)
    try:
        require_finite(weights, f"checkpoint {path}")
    except NotFinite as error:
        # Earlier versions trained on with such weights, and wrote them.
        raise NotFinite(
            f"{error}: move that folder away to use an earlier checkpoint, or train again with a "
            "smaller step size"
        ) from None
    return weights


def verify_checkpoint(path: Path) -> None:
    """Compare every file with its checksum; QcadeError naming the first that differs."""
    advice = "move that folder away to go on from the newest that is left"
    if list_checkpoints(path.parent) == [path]:
        advice = "there is no other, so this run can only begin anew, under another --out"
    sums = read_json(path / CHECKSUMS)
    for name in (MODEL, LEARNING, STATE):
        if not (path / name).is_file():
            raise QcadeError(f"checkpoint {path} lacks {name}: {advice}")
        if sums.get(name) != sha256(path / name):
            raise QcadeError(
                f"checkpoint {path} is damaged ({name} does not match its checksum): {advice}"
            )


def list_checkpoints(folder: Path) -> list[Path]:
    """All whole checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def prune_checkpoints(folder: Path) -> None:
    """Keep the newest two and the one with the best mean score; drop the rest and old leftovers."""
    found = list_checkpoints(folder)
    kept = set(found[-NEWEST_KEPT:])
    best = best_checkpoint(folder)
    for path in found:
        if path not in kept and path != best:
            _drop(path)
    for leftover in folder.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _drop(path: Path) -> None:
    # Under a name that is no checkpoint's first: a kill must not leave half of one.
    dropped = path.with_name(f".{path.name}.dropped.tmp")
    shutil.rmtree(dropped, ignore_errors=True)
    # On Windows a folder that somebody reads stays; the next time finds it again.
    with contextlib.suppress(OSError):
        path.rename(dropped)
    shutil.rmtree(dropped, ignore_errors=True)


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint at which the mean score of the last games was highest."""
    scored = [(_mean_score(path), path) for path in list_checkpoints(folder)]
    rated = [(score, path) for score, path in scored if score is not None]
    return max(rated)[1] if rated else None


def _mean_score(path: Path) -> float | None:
    try:
        return number_or_none(read_json(path / STATE).get("mean_score"))
    except QcadeError:
        return None


def _to_bytes(tensors: dict[str, Tensor]) -> bytes:
    return tensors_to_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()})


def _from_file(path: Path) -> dict[str, Tensor]:
    try:
        return tensors_from_bytes(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise QcadeError(f"{path} cannot be read: {error}") from None
