"""progress.json: the progress of a run for other processes, replaced every two seconds."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from qcade.events import Advanced, Event
from qcade.files.json_text import json_text
from qcade.files.whole import read_json
from qcade.runs.layout import PROGRESS_FILE
from qcade.runs.reading.scores import RecentScores
from qcade.runs.stopping import Stopped, StopRequest
from qcade.types import JSON, QcadeError

PROGRESS_FORMAT = 1
SECONDS_BETWEEN_WRITES = 2.0
WRITES_AVERAGED = 16
"""Frames per second are averaged over the last 30 seconds."""

ProgressState = Literal["starting", "running", "finished", "stopped", "interrupted"]


class ProgressFile:
    """Writes the progress of a run; a write that fails is skipped and does not end the run."""

    def __init__(
        self, path: Path, total_frames: int, frames: int, scores: RecentScores, stop: StopRequest
    ) -> None:
        self._path, self._total, self._scores, self._stop = path, total_frames, scores, stop
        self._frames, self._updates, self._epsilon = frames, 0, 1.0
        self._recent: deque[tuple[float, int]] = deque(maxlen=WRITES_AVERAGED)
        self._replace("running")

    def write(self, event: Event) -> None:
        """Note the progress, and replace the file if two seconds have passed."""
        if isinstance(event, Advanced):
            self._frames, self._updates = event.frames, event.updates
            self._epsilon = event.epsilon
            if time.monotonic() - self._recent[-1][0] >= SECONDS_BETWEEN_WRITES:
                self._replace("running")

    def flush(self) -> None:
        """Do nothing: the file need not survive a power cut."""

    def close(self) -> None:
        """Write how the run ended."""
        error = sys.exception()
        if self._frames >= self._total:
            self._replace("finished")
        elif self._stop.is_by_system or isinstance(error, Exception):
            # Not requested by the user: `qcade resume --all` resumes such a run.
            self._replace("interrupted")
        else:
            self._replace("stopped")

    def _replace(self, state: ProgressState) -> None:
        self._recent.append((time.monotonic(), self._frames))
        seconds = self._recent[-1][0] - self._recent[0][0]
        advanced = self._recent[-1][1] - self._recent[0][1]
        content: dict[str, JSON] = {
            "format": PROGRESS_FORMAT,
            "state": state,
            "frames": self._frames,
            "total_frames": self._total,
            "updates": self._updates,
            "epsilon": self._epsilon,
            "frames_per_second": advanced / seconds if seconds > 0 else None,
            "mean_score": self._scores.mean,
            "best_score": self._scores.best,
        }
        _write(self._path, content)


@contextlib.contextmanager
def starting(run_path: Path, stop: StopRequest) -> Iterator[None]:
    """Write that a run is being restored, which may take minutes, or that this was interrupted."""
    path = run_path / PROGRESS_FILE
    with contextlib.suppress(QcadeError):
        content = read_json(path)
        _write(path, {**content, "state": "starting", "frames_per_second": None})
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        state: ProgressState = "interrupted" if stop.is_by_system else "stopped"
        with contextlib.suppress(QcadeError):
            _write(path, {**read_json(path), "state": state})
        raise


def _write(path: Path, content: JSON) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json_text(content, path.name) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except (OSError, QcadeError):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
