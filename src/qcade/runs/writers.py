"""What is written while a run goes on: metrics.jsonl, TensorBoard, and lines on the screen."""

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

from qcade.checks import number_or_none
from qcade.files.appended import AppendedFile, FilePosition
from qcade.files.json_text import json_text
from qcade.training.events import Advanced, EpisodeEnded, Evaluated, Event, Updated
from qcade.types import JSON

METRICS_FORMAT = 2
"""Format 1, up to 8f59885, had no first line that says so."""
RECENT_EPISODES = 20
SECONDS_BETWEEN_LINES_ON_TERMINAL = 2.0
SECONDS_BETWEEN_LINES_ELSEWHERE = 10.0


EVENT_NAMES: dict[type[Event], str] = {
    EpisodeEnded: "episode",
    Updated: "updates",
    Evaluated: "evaluation",
}


class Writer(Protocol):
    """Something that follows a run."""

    def write(self, event: Event) -> None:
        """Take an event in."""
        ...

    def flush(self) -> None:
        """Bring everything to the disk."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


class RecentScores:
    """Mean of the last games and the best of all."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT_EPISODES)
        self.best: float | None = None

    @staticmethod
    def from_json(data: JSON) -> RecentScores:
        """Read what `to_json` wrote; none yet if it is nothing of the kind."""
        scores = RecentScores()
        recent = data.get("recent") if isinstance(data, dict) else None
        if isinstance(data, dict) and isinstance(recent, list):
            numbers = [number_or_none(score) for score in recent]
            scores._recent.extend(number for number in numbers if number is not None)
            scores.best = number_or_none(data.get("best"))
        return scores

    def to_json(self) -> JSON:
        """The last games and the best score, for a checkpoint."""
        return {"recent": [*self._recent], "best": self.best}

    def add(self, score: float) -> None:
        """Take the score of a whole game in."""
        self._recent.append(score)
        self.best = score if self.best is None else max(self.best, score)

    @property
    def mean(self) -> float | None:
        """Mean of the last 20 games, or None before the first."""
        return sum(self._recent) / len(self._recent) if self._recent else None

    @property
    def is_full(self) -> bool:
        """Whether 20 games are in the mean."""
        return len(self._recent) == RECENT_EPISODES


class MetricsFile:
    """metrics.jsonl: one event a line, appended; the source of every plot."""

    def __init__(self, path: Path, kept: FilePosition) -> None:
        """Go on after `kept`; the rest is of work that was lost."""
        self._file = AppendedFile(path, kept)
        self._name, self._started = path.name, time.monotonic()
        if kept.length_bytes == 0:
            self._append({"event": "format", "format": METRICS_FORMAT})

    def write(self, event: Event) -> None:
        """Append the line of an episode, of updates or of an evaluation."""
        if isinstance(event, (EpisodeEnded, Updated, Evaluated)):
            seconds = round(time.monotonic() - self._started, 3)
            kind = EVENT_NAMES[type(event)]
            self._append({"event": kind, **asdict(event), "seconds": seconds})

    def _append(self, line: dict[str, Any]) -> None:
        self._file.append(json_text(line, self._name).encode() + b"\n")

    @property
    def position(self) -> FilePosition:
        """Length and checksum, unwritten lines included."""
        return self._file.position

    def spill(self) -> None:
        """Give the operating system what is pending."""
        self._file.spill()

    def flush(self) -> None:
        """Bring all lines to the disk."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Screen:
    """A progress bar in a terminal, a line now and then elsewhere; episodes as they end."""

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
        """Show an event if it is time to."""
        # A terminal that was closed, or a pipe that nobody reads any more, must not end a run.
        with contextlib.suppress(OSError):
            if isinstance(event, EpisodeEnded):
                self._show_episode(event)
            elif isinstance(event, Evaluated):
                self._show_evaluation(event)
            elif isinstance(event, Advanced):
                self._show_progress(event)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._progress.stop()

    def _show_episode(self, event: EpisodeEnded) -> None:
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
    """A spinner of Rich's that the console's encoding has the characters for."""
    return "line" if console.options.ascii_only else "dots"


def duration(seconds: float | None) -> str:
    """Seconds as h:mm:ss or m:ss; a question mark for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
