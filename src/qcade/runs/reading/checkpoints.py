"""The checkpoints of a run: listing, choosing and verifying them, and reading their state."""

from __future__ import annotations

import numbers
import re
from dataclasses import dataclass
from pathlib import Path

from qcade.checks import check_value, number_or_none, shown_value
from qcade.files.appended import FilePosition
from qcade.files.versions import check_version
from qcade.files.whole import read_json, sha256
from qcade.runs.layout import CHECKSUMS_FILE, LEARNING_FILE, STATE_FILE, WEIGHTS_FILE
from qcade.tape.format import TapePosition
from qcade.training.counters import Counters
from qcade.types import JSON, Count, QcadeError

FORMAT_VERSION = 1
CHECKED_FILES = (WEIGHTS_FILE, LEARNING_FILE, STATE_FILE)
COUNTERS = ("decisions", "updates", "episodes", "metric_count", "next_row", "opening_row")
UNFINISHED = "under_way"
"""The key in state.json of the unfinished episodes."""
_NAME = re.compile(r"[0-9]{12,18}")
_FRAMES_FILE = re.compile(r"([0-9]{12,18})-([0-9]{12,18})\.lz4")


@dataclass(frozen=True, kw_only=True)
class CheckpointState:
    """The state of a run at a checkpoint, as saved in state.json."""

    frames: int
    """Emulator frames of the run."""
    counters: Counters
    """The run's counters."""
    metrics: FilePosition
    """Length and checksum of metrics.jsonl at the checkpoint."""
    tensorboard: FilePosition
    """Length and checksum of TensorBoard's file at the checkpoint."""
    tape: TapePosition | None
    """Lengths and checksums of the tape at the checkpoint; None if the run has no tape."""
    stored_frames: dict[str, str]
    """Checksums of the files that hold the replay memory, by name."""
    scores: JSON
    """The last scores and the best, as `RecentScores.to_json` returns them."""
    mean_score: JSON
    """Mean of the last 20 scores; None if there are fewer."""
    seconds: float | None
    """Training time of the run; None if an earlier qcade wrote the checkpoint."""
    recipe: JSON
    """The recipe as JSON; None if an earlier qcade wrote the checkpoint."""


def checkpoint_name(frames: int) -> str:
    """Return the folder name of a checkpoint: twelve digits, so that names sort by time."""
    return f"{frames:012d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """Return all complete checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(paths, key=lambda path: int(path.name))


def best_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the highest mean of the last scores; None if none has a mean."""
    scored = [(_mean_score(path), path) for path in list_checkpoints(folder)]
    rated = [(score, path) for score, path in scored if score is not None]
    return max(rated)[1] if rated else None


def choose_checkpoint(folder: Path, wanted: str | int) -> Path:
    """Find a checkpoint by newest, best or its frame number; QcadeError lists the existing ones."""
    if isinstance(wanted, numbers.Integral) and not isinstance(wanted, bool):
        # NumPy's integers are accepted too.
        wanted = str(int(wanted))
    checkpoints = list_checkpoints(folder)
    if not checkpoints:
        raise QcadeError(f"{folder.parent} has no checkpoint yet: let it train until the first one")
    if wanted == "newest":
        return checkpoints[-1]
    if wanted == "best":
        return best_checkpoint(folder) or checkpoints[-1]
    digits = re.sub(r"[_,]", "", wanted) if isinstance(wanted, str) else ""
    for path in checkpoints:
        # Compared as text: some characters that count as digits are refused by `int`.
        if digits and path.name == digits.zfill(len(path.name)):
            return path
    known = ", ".join(str(int(path.name)) for path in checkpoints)
    shown = f'"{wanted}"' if isinstance(wanted, str) else repr(wanted)
    raise QcadeError(f"no checkpoint {shown}: use newest, best or one of {known}")


def verify_checkpoint(path: Path) -> None:
    """Compare every file with its checksum; QcadeError names the first that differs."""
    advice = "move that folder away to continue from the newest one left"
    if list_checkpoints(path.parent) == [path]:
        advice = "there is no other, so train again from the beginning, with another --out"
    sums = read_json(path / CHECKSUMS_FILE)
    for name in CHECKED_FILES:
        if not (path / name).is_file():
            raise QcadeError(f"checkpoint {path} lacks {name}: {advice}")
        if sums.get(name) != sha256(path / name):
            raise QcadeError(
                f"checkpoint {path} is damaged ({name} does not match its checksum): {advice}"
            )


def read_state(path: Path) -> CheckpointState:
    """Read the state of a run at a checkpoint; QcadeError names a field that is not valid."""
    state = read_json(path / STATE_FILE)
    where = f"checkpoint {path}"
    check_version(state.get("format"), FORMAT_VERSION, where)
    check_value(state.get("frames"), Count, f"{where}: frames")
    tape = state.get("tape")
    seconds = state.get("seconds")
    return CheckpointState(
        frames=int(str(state["frames"])),
        counters=_counters(state.get("counters"), where),
        metrics=_position(state.get("metrics", [0, 0])),
        tensorboard=_position(state.get("tensorboard", [0, 0])),
        tape=None if tape is None else _tape_position(tape),
        stored_frames=_stored_frames(state.get("frames_files")),
        scores=state.get("scores"),
        mean_score=state.get("mean_score"),
        seconds=None if seconds is None else number_or_none(seconds),
        recipe=state.get("recipe"),
    )


def state_to_json(state: CheckpointState) -> dict[str, JSON]:
    """Return the content of state.json."""
    counters: dict[str, JSON] = {name: getattr(state.counters, name) for name in COUNTERS}
    counters[UNFINISHED] = state.counters.unfinished
    if state.counters.sent_actions is not None:
        counters["sent_actions"] = [*state.counters.sent_actions]
    data: dict[str, JSON] = {
        "format": FORMAT_VERSION,
        "frames": state.frames,
        "counters": counters,
        "metrics": [*state.metrics],
        "tensorboard": [*state.tensorboard],
        "scores": state.scores,
        "mean_score": state.mean_score,
        "seconds": state.seconds,
        "recipe": state.recipe,
    }
    if state.tape is not None:
        data["tape"] = [[*state.tape.tape], [*state.tape.index]]
    if state.stored_frames:
        data["frames_files"] = dict(state.stored_frames)
    return data


def rows_in_file(name: str) -> tuple[int, int]:
    """Return the first row of a file of stored frames, and the one after its last row.

    Its name is `first-next.lz4`.
    """
    first, _, until = name.removesuffix(".lz4").partition("-")
    return int(first), int(until)


def _mean_score(path: Path) -> float | None:
    try:
        return number_or_none(read_json(path / STATE_FILE).get("mean_score"))
    except QcadeError:
        return None


def _counters(data: JSON, where: str) -> Counters:
    if not isinstance(data, dict):
        raise QcadeError(f"{where}: {STATE_FILE} has no counters")
    figures: dict[str, int] = {}
    for name in COUNTERS:
        check_value(data.get(name), Count, f"{where}: counters.{name}")
        figures[name] = int(str(data[name]))
    recorded, sent = data.get("sent_actions"), None
    if recorded is not None:
        actions = tuple(recorded) if isinstance(recorded, list) else (recorded,)
        check_value(actions, tuple[Count, ...], f"{where}: counters.sent_actions")
        sent = tuple(int(str(action)) for action in actions)
    return Counters(**figures, unfinished=data.get(UNFINISHED), sent_actions=sent)


def _position(data: JSON) -> FilePosition:
    figures = tuple(data) if isinstance(data, list) else ()
    try:
        check_value(figures, tuple[Count, Count], "position")
    except QcadeError:
        raise QcadeError("the checkpoint does not record the lengths of the logs") from None
    length_bytes, crc = figures
    return FilePosition(int(str(length_bytes)), int(str(crc)))


def _tape_position(data: JSON) -> TapePosition:
    if not isinstance(data, list) or len(data) != 2:
        raise QcadeError("the checkpoint does not record the length of the tape")
    return TapePosition(_position(data[0]), _position(data[1]))


def _stored_frames(files: JSON) -> dict[str, str]:
    """Check the names and checksums of stored frames, since the names are used as paths."""
    files = files or {}
    if not isinstance(files, dict):
        raise QcadeError("the checkpoint does not list its stored frames")
    checked: dict[str, str] = {}
    for name, sha in files.items():
        if not _FRAMES_FILE.fullmatch(name) or not isinstance(sha, str):
            raise QcadeError(
                f"the checkpoint lists {shown_value(name)} as a file of stored frames, but qcade "
                "writes no such file: its state.json was changed"
            )
        checked[name] = sha
    return checked
