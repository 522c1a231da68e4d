"""The episodes that a run has recorded: listing them and choosing some."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from qcade.parts import Game
from qcade.runs.directory import open_run
from qcade.shell import command_line
from qcade.tape.format import RecordedEpisode, Tape, read_tape
from qcade.types import JSON, QcadeError

Order = Literal["number", "score", "length"]


@dataclass(frozen=True)
class RecordedRun:
    """A run's game and its tape, as far as it is written."""

    path: Path
    """The run directory."""
    game: Game
    """What is played."""
    tape: Tape
    """The tape's whole records."""


def read_run(path: Path, rom: Path | None = None) -> RecordedRun:
    """Read what a run, still training or not, has recorded; QcadeError if that is nothing.

    `rom` is where its ROM is now; None to look for it by its checksum.
    """
    directory = open_run(path, rom)
    game = directory.recipe().game
    if not game.is_replayable:
        raise QcadeError(
            f"{path} has no tape, as seeds and actions do not bring back a game of this kind; "
            f"`{command_line('video', path)}` without --episode shows the trained agent"
        )
    return RecordedRun(path, game, read_tape(path))


def listed(
    episodes: tuple[RecordedEpisode, ...], order: Order, last: int | None
) -> list[RecordedEpisode]:
    """Put the last so many episodes (None: all) in an order: best and longest first."""
    kept = list(episodes if last is None else episodes[max(0, len(episodes) - last) :])
    if order == "score":
        kept.sort(key=lambda episode: -episode.score)
    elif order == "length":
        kept.sort(key=lambda episode: -episode.length_decisions)
    return kept


def choose(run: RecordedRun, wanted: str) -> list[RecordedEpisode]:
    """Find the episodes of a list such as `1,50%,best`; QcadeError says what there is."""
    if not run.tape.episodes:
        raise QcadeError(f"{run.path} has finished no episode yet: try again when it has")
    return [episode for word in wanted.split(",") for episode in _choose(run, word.strip())]


def table_of(run: RecordedRun, episodes: list[RecordedEpisode]) -> Table:
    """Show episodes as a table."""
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


def to_json(episode: RecordedEpisode) -> dict[str, JSON]:
    """Give an episode's figures by name."""
    return asdict(episode)


def _choose(run: RecordedRun, word: str) -> list[RecordedEpisode]:
    episodes = run.tape.episodes
    if word == "all":
        return list(episodes)
    if word == "first":
        return [episodes[0]]
    if word == "last":
        return [episodes[-1]]
    if word == "best":
        return [max(episodes, key=lambda episode: episode.score)]
    if word == "worst":
        return [min(episodes, key=lambda episode: episode.score)]
    if share := re.fullmatch(r"(\d+(?:\.\d+)?)%", word):
        frames = min(float(share[1]), 100.0) / 100 * episodes[-1].frames
        return [next(episode for episode in episodes if episode.frames >= frames)]
    found: list[RecordedEpisode] = []
    if number := re.fullmatch(r"[\d_]{1,30}", word):
        found = [each for each in episodes if each.episode == int(number[0].replace("_", "") or 0)]
    elif (period := re.fullmatch(r"every:(\d{1,30})", word)) and int(period[1]):
        found = [each for each in episodes if each.episode % int(period[1]) == 0]
    if not found:
        raise QcadeError(
            f'no episode "{word}": the tape of {run.path} has {episodes[0].episode:,} to '
            f"{episodes[-1].episode:,}; name a number, first, last, best, worst, all, a share of "
            "the run such as 50%, or every:50, or several with commas"
        )
    return found


def _clock(frames: int, game: Game) -> str:
    seconds = round(frames / game.pictures_per_second)
    return f"{seconds // 60}:{seconds % 60:02}"
