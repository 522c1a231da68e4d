"""Watching a run from another process: a live bar in a terminal, a regular line elsewhere."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from qcade.runs.reading.status import RunStatus, status
from qcade.runs.writers import SECONDS_BETWEEN_LINES_ELSEWHERE, spinner_name
from qcade.shell import duration

SECONDS_BETWEEN_CHECKS = 0.5


def attach(run_path: Path, console: Console) -> RunStatus:
    """Show the progress of a run until it ends; return its final status."""
    # A shell that starts a job in the background makes it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bar = Progress(
        SpinnerColumn(spinner_name(console)),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>5.1f}%  {task.description}", markup=False),
        console=console,
        disable=not console.is_terminal,
        refresh_per_second=4,
    )
    last_line = float("-inf")
    with bar:
        run = status(run_path)
        task = bar.add_task("", total=run.total_frames)
        while run.state == "running":
            bar.update(
                task, total=run.total_frames, completed=run.frames, description=_describe(run)
            )
            now = time.monotonic()
            if not console.is_terminal and now - last_line > SECONDS_BETWEEN_LINES_ELSEWHERE:
                last_line = now
                percent = 100 * run.frames / max(run.total_frames, 1)
                console.print(f"{percent:5.1f}%  {_describe(run)}", highlight=False)
            time.sleep(SECONDS_BETWEEN_CHECKS)
            run = status(run_path)
        bar.update(task, completed=run.frames, description=_describe(run))
    return run


def _describe(run: RunStatus) -> str:
    rate, mean = run.frames_per_second, run.mean_score
    return (
        f"{run.frames:,} frames"
        + ("" if rate is None else f"  {rate:,.0f}/s")
        + ("" if mean is None else f"  mean {mean:,.1f}")
        + ("" if run.seconds_left is None else f"  {duration(run.seconds_left)} left")
    )
