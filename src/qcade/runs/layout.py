"""What in a run's folder must be a folder, and what must not."""

from __future__ import annotations

from pathlib import Path

from qcade.runs.frame_store import FOLDER as FRAMES_FOLDER
from qcade.runs.progress_file import PROGRESS_FILE
from qcade.tape.format import INDEX_FILE, TAPE_FILE
from qcade.types import QcadeError

FOLDERS = ("checkpoints", "tensorboard", FRAMES_FOLDER)
FILES = (PROGRESS_FILE, "metrics.jsonl", TAPE_FILE, INDEX_FILE, "output.log")


def check_layout(run_path: Path) -> None:
    """Check that files and folders are where they belong, before a run touches any of them.

    Raises QcadeError for what is in the place of another; what is missing is made when needed.
    """
    for name in FOLDERS:
        path = run_path / name
        if path.exists() and not path.is_dir():
            raise QcadeError(f"{path} is a file where a folder belongs: move it away")
    for name in FILES:
        path = run_path / name
        if path.is_dir():
            raise QcadeError(f"{path} is a folder where a file belongs: move it away")
