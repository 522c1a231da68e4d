"""Writers of a run's events: metrics.jsonl, and a progress bar or lines on the screen."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.text import Text

from qcade.events import Advanced, Episode, Evaluated, Event, Updated
from qcade.files.appended import AppendedFile, FilePosition
from qcade.files.json_text import json_text
from qcade.runs.reading.metrics import EVENT_NAMES, FORMAT_EVENT, METRICS_FORMAT
from qcade.runs.reading.scores import RECENT_EPISODES, RecentScores
from qcade.shell import duration

SECONDS_BETWEEN_LINES_ON_TERMINAL = 2.0
SECONDS_BETWEEN_LINES_ELSEWHERE = 10.0


class Writer(Protocol):
    """Receives the events of a run."""

    def write(self, event: Event) -> None:
        """Handle an event."""
        ...

    def flush(self) -> None:
        """Flush everything to the disk."""
        ...

    def close(self) -> None:
        """Write what is left, and close."""
        ...


class MetricsFile:
    """metrics.jsonl: one event per line, appended; the source of every plot."""

    def __init__(self, path: Path, kept: FilePosition, seconds: float = 0.0) -> None:
        """Continue after `kept`, in a run that has trained for `seconds` seconds.

        The rest of the file belongs to lost work and is cut off.
        """
        self._file = AppendedFile(path, kept)
        self._name, self._started = path.name, time.monotonic() - seconds
        if kept.length_bytes == 0:
            self._append({"event": FORMAT_EVENT, "format": METRICS_FORMAT})

    @property
    def seconds(self) -> float:
        """Training time of the run, summed over all its processes."""
        return round(time.monotonic() - self._started, 3)

    def write(self, event: Event) -> None:
        """Append the line of an episode, of updates or of an evaluation."""
        if isinstance(event, (Episode, Updated, Evaluated)):
            kind = EVENT_NAMES[type(event)]
            self._append({"event": kind, **asdict(event), "seconds": self.seconds})

    def _append(self, line: dict[str, Any]) -> None:
        self._file.append(json_text(line, self._name).encode() + b"\n")

    @property
    def position(self) -> FilePosition:
        """Length and checksum, unwritten lines included."""
        return self._file.position

    def spill(self) -> None:
        """Pass pending lines to the operating system."""
        self._file.spill()

    def flush(self) -> None:
        """Flush all lines to the disk."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Screen:
    """Shows episodes as they end, and a progress bar in a terminal or a regular line elsewhere."""

    def __init__(
        self, console: Console, total_frames: int, frames: int, scores: RecentScores
    ) -> None:
        self._console, self._scores, self._total = console, scores, total_frames
        self._first = (time.monotonic(), frames)
        self._recent: deque[tuple[float, int]] = deque([self._first], maxlen=20)
        self._last_episode_line = self._last_plain_line = 0.0
        self._episode_line_period_seconds = (
            SECONDS_BETWEEN_LINES_ON_TERMINAL
            if console.is_terminal
            else SECONDS_BETWEEN_LINES_ELSEWHERE
        )
        self._frames, self._learning = frames, False
        self._progress = Progress(
            SpinnerColumn(spinner_name(console)),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>5.1f}%", markup=False),
            TextColumn("{task.fields[status]}", markup=False),
            _TimeLeft(),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task("", total=total_frames, completed=frames, status="")
        self._progress.start()

    def write(self, event: Event) -> None:
        """Show an event, unless a similar one was shown a moment ago."""
        # A closed terminal, or a pipe without a reader, must not end a run.
        with contextlib.suppress(OSError):
            if isinstance(event, Episode):
                self._show_episode(event)
            elif isinstance(event, Evaluated):
                self._show_evaluation(event)
            elif isinstance(event, Advanced):
                self._show_progress(event)

    def flush(self) -> None:
        """Do nothing: the screen is not buffered."""

    def close(self) -> None:
        """Stop the bar, and leave its last state on the screen."""
        self._progress.stop()

    def _show_episode(self, event: Episode) -> None:
        now = time.monotonic()
        if now - self._last_episode_line < self._episode_line_period_seconds:
            return
        self._last_episode_line = now
        self._console.print(
            f"episode {event.episode:>6,}   score {event.score:>8,.0f}   "
            f"{event.length_decisions:>6,} decisions   epsilon {event.epsilon:.3f}   "
            f"mean of last {RECENT_EPISODES}: {self._scores.mean or 0:,.1f}",
            highlight=False,
        )

    def _show_evaluation(self, event: Evaluated) -> None:
        cut = f", {event.cut:,} of them cut" if event.cut else ""
        self._console.print(
            f"evaluation at {event.frames:,} frames: mean {event.mean:,.1f}, median "
            f"{event.median:,.1f} over {event.episodes:,} games{cut}"
        )

    def _show_progress(self, event: Advanced) -> None:
        if event.updates and not self._learning:
            self._learning = True
            seconds = time.monotonic() - self._first[0]
            self._console.print(f"learning: first update after {seconds:.0f} s", highlight=False)
            self._recent.clear()
        now = time.monotonic()
        if self._recent and now - self._recent[-1][0] < 0.5:
            return
        self._recent.append((now, event.frames))
        earlier_time, earlier_frames = self._recent[0]
        rate = (event.frames - earlier_frames) / max(now - earlier_time, 1e-9)
        mean, best = self._scores.mean, self._scores.best
        status = (
            f"{event.frames:,} frames  {rate:,.0f}/s  epsilon {event.epsilon:.3f}"
            + ("" if mean is None else f"  mean {mean:,.1f}")
            + ("" if best is None else f"  best {best:,.0f}")
        )
        left = (self._total - event.frames) / rate if rate > 0 else None
        self._progress.update(self._task, completed=event.frames, status=status, left=left)
        due = now - self._last_plain_line > SECONDS_BETWEEN_LINES_ELSEWHERE
        if not self._console.is_terminal and due and rate > 0:
            self._last_plain_line = now
            percent = 100 * event.frames / self._total
            self._console.print(
                f"{percent:5.1f}%  {status}  {duration(left)} left", highlight=False
            )


class _TimeLeft(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{duration(task.fields.get('left'))} left")


def spinner_name(console: Console) -> str:
    """Return the name of a Rich spinner that the console's encoding can show."""
    return "line" if console.options.ascii_only else "dots"
