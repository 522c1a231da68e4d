"""What all commands share: printing, and the commands that they suggest."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import tyro
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from qcade.cli.standard_streams import StandardStream
from qcade.shell import command_line, shown, shown_lines

RUNS = Path("runs")
WIDEST_TABLE = 1_000
NARROWEST_COLUMN = 16
"""In a terminal too narrow even for this, the lines of a table are wrapped."""

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]

own_modules: list[str] = []
"""The --import words of this command: suggested and background commands need these modules."""

output, error_output = StandardStream("stdout"), StandardStream("stderr")


class PlainConsole(Console):
    """Prints text literally: brackets are not markup, and names cannot control the terminal."""

    def __init__(self, stream: StandardStream, width: int | None = None) -> None:
        super().__init__(
            file=cast(TextIO, stream),
            width=width,
            markup=False,
            emoji=False,
            highlight=False,
            soft_wrap=True,
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Remove control characters from every text that is printed, also in tables."""
        return super().render_str(shown_lines(text), **options)


screen, errors = PlainConsole(output), PlainConsole(error_output)


def offer(*words: str | Path) -> str:
    """Return a command that can be copied, with the --import words of this one."""
    return command_line(*own_modules, *words)


def print_error(text: str) -> None:
    """Print an error message in one line."""
    errors.print(f"qcade: {shown(text)}", style="red")


def print_table(table: RenderableType) -> None:
    """Print a table at full width; in a terminal its first column is narrowed to fit."""
    wide = PlainConsole(output, WIDEST_TABLE)
    if isinstance(table, Table) and screen.is_terminal:
        _fold_first_column(table, screen.width, wide)
    wide.print(table)


def print_json(data: Any, indent: int | None = None) -> None:
    """Print one JSON value, alone on standard output; NaN and infinity become null."""
    text = json.dumps(_finite(data), indent=indent, allow_nan=False)
    output.write(f"{text}\n")
    output.flush()


def _fold_first_column(table: Table, width: int, console: Console) -> None:
    first = table.columns[0]
    natural = console.measure(table).maximum
    if natural <= width:
        return
    first.overflow, first.width = "fold", NARROWEST_COLUMN
    narrow = console.measure(table).maximum
    first.width = None if narrow >= natural else NARROWEST_COLUMN + max(0, width - narrow)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _finite(each) for name, each in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(each) for each in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
