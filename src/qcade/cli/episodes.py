"""The command `episodes`: the training episodes of a run, to choose from for a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from qcade.checks import check_value
from qcade.cli.reading_options import OptionalInt, OptionalPath, read_options
from qcade.cli.terminal import RunPath, print_json, print_table, screen
from qcade.events import Episode
from qcade.parts import Game
from qcade.shell import shown
from qcade.types import Positive
from qcade.watch.episodes import RecordedRun, listed, read_run, to_json


@dataclass(frozen=True)
class EpisodesOptions:
    """List the episodes that a run, still training or not, has finished."""

    run: RunPath
    """The run directory."""
    sort: Literal["number", "score", "length"] = "number"
    """Order: the best and the longest come first."""
    last: OptionalInt = None
    """How many to list, the newest; by default all."""
    rom: OptionalPath = None
    """Current path of the run's custom ROM file, if it is not found by its checksum."""
    json: bool = False
    """Print a JSON list instead of a table."""


def show_episodes(words: list[str]) -> int:
    """List the episodes of a run, to choose from for a video; return the exit code."""
    options = read_options(EpisodesOptions, "episodes", words)
    check_value(options.last, Positive | None, "--last")
    run = read_run(options.run, options.rom)
    episodes = listed(run.tape.episodes, options.sort, options.last)
    if options.json:
        print_json([to_json(episode) for episode in episodes], indent=2)
    elif episodes:
        print_table(_table_of(run, episodes))
    else:
        screen.print(f"{shown(options.run)} has finished no episode yet.")
    return 0


def _table_of(run: RecordedRun, episodes: list[Episode]) -> Table:
    """Return a table of episodes, one row each."""
    table = Table(box=None)
    for name in ("episode", "frames", "score", "decisions", "duration", "epsilon", "environment"):
        table.add_column(name, justify="right")
    for each in episodes:
        table.add_row(
            f"{each.episode:,}",
            f"{each.frames:,}",
            f"{each.score:,.0f}",
            f"{each.length_decisions:,}",
            _clock(each.length_decisions * run.game.frames_per_decision, run.game),
            f"{each.epsilon:.3f}",
            str(each.environment),
        )
    return table


def _clock(frames: int, game: Game) -> str:
    seconds = round(frames / game.pictures_per_second)
    return f"{seconds // 60}:{seconds % 60:02}"
