"""What every command shares: where it prints, and how its words become options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from rich.console import Console, RenderableType

OptionsType = TypeVar("OptionsType")


class PatientConsole(Console):
    """Falls silent when nobody reads any more, as after `| head`; Rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Print nowhere from now on: a training must go on, or save what it has."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


screen = PatientConsole(highlight=False, soft_wrap=True)
errors = PatientConsole(stderr=True, highlight=False, soft_wrap=True)

WIDEST_TABLE = 1_000


def print_table(table: RenderableType) -> None:
    """Print a table as wide as it is, since Rich would shorten it where there is no terminal."""
    PatientConsole(highlight=False, width=WIDEST_TABLE).print(table, soft_wrap=True, markup=False)


own_modules: list[str] = []
"""The --import words of this command: a run in the background needs the same modules."""

RUNS = Path("runs")

RunPath = Annotated[Path, tyro.conf.Positional]


def parse(cls: type[OptionsType], command: str, words: list[str]) -> OptionsType:
    """Parse the words after a command into its options; what is wrong is said with exit code 2."""
    return tyro.cli(cls, prog=f"qcade {command}", args=words)
