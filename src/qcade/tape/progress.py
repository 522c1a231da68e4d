"""A progress bar while a tape is re-emulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def showing_progress(console: Console, rows: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar in a terminal; yield the function to call with the rows done and their total."""
    with Progress(
        TextColumn("playing the tape again"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=rows)
        yield lambda done, total: bar.update(task, completed=done, total=total)
