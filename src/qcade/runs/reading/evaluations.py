"""The evaluations of a run: scores of whole games, each with the protocol that they depend on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qcade.checks import check_value
from qcade.files.versions import check_version
from qcade.files.whole import read_json
from qcade.runs.layout import RESULT_FILE
from qcade.types import JSON, Count, QcadeError

RESULT_FORMAT = 1
"""Up to 8f59885 results had no version; they are of this one."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What one evaluation wrote."""

    folder: Path
    """Where its result and its tape are."""
    game: str
    """The game's name in score tables."""
    checkpoint_frames: int
    """Emulator frames of the checkpoint that played; 0 for a random player."""
    scores: tuple[float, ...]
    """Raw scores, in the order of environments."""
    cut: int
    """How many of the games were cut by the frame cap."""
    mean: float
    """Mean raw score."""
    median: float
    """Median raw score."""
    protocol: dict[str, JSON]
    """Everything that the scores depend on besides the agent."""


def read_evaluations(folder: Path) -> list[EvaluationResult]:
    """Read all finished evaluations below a run's `evaluations/`, sorted by folder name.

    Raises QcadeError for a result that no version wrote.
    """
    if not folder.is_dir():
        return []
    # An evaluation in progress has a folder already, but no result.
    files = sorted(folder.glob(f"*/{RESULT_FILE}"))
    return [_read(file) for file in files]


def _read(file: Path) -> EvaluationResult:
    data = read_json(file)
    check_version(data.get("format", 1), RESULT_FORMAT, str(file))
    scores, protocol = data.get("scores"), data.get("protocol")
    if not isinstance(scores, list) or not isinstance(protocol, dict):
        raise QcadeError(f"{file} has no scores or no protocol")
    numbers = tuple(scores)
    check_value(numbers, tuple[float, ...], f"{file}: scores")
    for name in ("checkpoint_frames", "cut"):
        check_value(data.get(name), Count, f"{file}: {name}")
    for name in ("mean", "median"):
        check_value(data.get(name), float, f"{file}: {name}")
    return EvaluationResult(
        folder=file.parent,
        game=str(data.get("game")),
        checkpoint_frames=int(str(data["checkpoint_frames"])),
        scores=tuple(float(str(score)) for score in numbers),
        cut=int(str(data["cut"])),
        mean=float(str(data["mean"])),
        median=float(str(data["median"])),
        protocol=protocol,
    )
