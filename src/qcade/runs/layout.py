"""The names of all files and folders of a run."""

from __future__ import annotations

from pathlib import Path

from qcade.tape.format import INDEX_FILE, TAPE_FILE
from qcade.types import QcadeError

RECIPE_FILE = "recipe.json"
"""Everything that decides the run."""
PROVENANCE_FILE = "provenance.json"
"""The command, time, package versions and machine that created the run."""
LINEAGE_FILE = "lineage.json"
"""Of a fork: its parent, and the checkpoint that it started from."""
METRICS_FILE = "metrics.jsonl"
"""Episodes, means over updates, and evaluations: one JSON object per line."""
PROGRESS_FILE = "progress.json"
"""The progress of the run, replaced every two seconds."""
OUTPUT_FILE = "output.log"
"""Output of the run when it trains in the background."""
ENVIRONMENT_ERRORS_FILE = "environment-errors.log"
"""Tracebacks of environments that failed."""
LOCK_FILE = "lock"
"""Held by the process that writes the run."""
STOP_REQUEST_FILE = "stop-request"
"""Created to ask that process to save and stop."""
RESERVE_FILE = ".reserve"
"""Disk space that is reserved for the last checkpoint."""
CHECKPOINTS_FOLDER = "checkpoints"
"""One folder per checkpoint, named after its frame."""
FRAMES_FOLDER = "replay"
"""The replay memory as compressed frames, if it is not restored from the tape."""
TENSORBOARD_FOLDER = "tensorboard"
VIDEOS_FOLDER = "videos"
EVALUATIONS_FOLDER = "evaluations"
"""One folder per evaluation, with its result and its tape."""
RESULT_FILE = "result.json"
"""In the folder of an evaluation: its scores and their protocol."""
WEIGHTS_FILE = "model.safetensors"
"""In a checkpoint: weights of the online network."""
LEARNING_FILE = "optimizer.safetensors"
"""In a checkpoint: target network, optimizer and random generators."""
STATE_FILE = "state.json"
"""In a checkpoint: counters, and the lengths of the logs."""
CHECKSUMS_FILE = "checksums.json"
"""In a checkpoint: SHA-256 of its other files."""

FOLDERS = (CHECKPOINTS_FOLDER, TENSORBOARD_FOLDER, FRAMES_FOLDER)
FILES = (PROGRESS_FILE, METRICS_FILE, TAPE_FILE, INDEX_FILE, OUTPUT_FILE)


def check_layout(run_path: Path) -> None:
    """Check, before a run changes anything, that no file is in place of a folder or vice versa.

    Raises QcadeError if one is. Missing files and folders are created when they are needed.
    """
    for name in FOLDERS:
        path = run_path / name
        if path.exists() and not path.is_dir():
            raise QcadeError(f"{path} is a file where a folder belongs: move it away")
    for name in FILES:
        path = run_path / name
        if path.is_dir():
            raise QcadeError(f"{path} is a folder where a file belongs: move it away")
