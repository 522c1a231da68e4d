"""The episodes that a run has recorded: listing and choosing them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from qcade.events import Episode
from qcade.parts import Game
from qcade.runs.reading.run import open_run
from qcade.shell import command_line
from qcade.tape.format import Tape
from qcade.types import JSON, QcadeError

Order = Literal["number", "score", "length"]


@dataclass(frozen=True)
class RecordedRun:
    """A run's game and its tape, as far as it is written."""

    path: Path
    """The run directory."""
    game: Game
    """The game that is played."""
    tape: Tape
    """All complete records of the tape."""


def read_run(path: Path, rom: Path | None = None) -> RecordedRun:
    """Read the game and tape of a run, still training or not; QcadeError if it has no tape.

    `rom` is the current path of its ROM; None to search for it by its checksum.
    """
    directory = open_run(path, rom)
    game = directory.game()
    if not game.is_replayable:
        raise QcadeError(
            f"{path} has no tape, because seeds and actions do not determine this kind of game; "
            f"`{command_line('video', path)}` without --episode shows the trained agent"
        )
    return RecordedRun(path, game, directory.tape())


def listed(episodes: tuple[Episode, ...], order: Order, last: int | None) -> list[Episode]:
    """Return the `last` newest episodes, or all, in an order: the best and longest come first."""
    kept = list(episodes if last is None else episodes[max(0, len(episodes) - last) :])
    if order == "score":
        kept.sort(key=lambda episode: -episode.score)
    elif order == "length":
        kept.sort(key=lambda episode: -episode.length_decisions)
    return kept


def choose(run: RecordedRun, wanted: str) -> list[Episode]:
    """Find the episodes in a list such as `1,50%,best`; QcadeError says what can be chosen."""
    if not run.tape.episodes:
        raise QcadeError(f"{run.path} has finished no episode yet: try again when it has")
    return [episode for word in wanted.split(",") for episode in _choose(run, word.strip())]


def to_json(episode: Episode) -> dict[str, JSON]:
    """Return an episode's fields as plain JSON."""
    return asdict(episode)


def _choose(run: RecordedRun, word: str) -> list[Episode]:
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
    chosen: list[Episode] = []
    if number := re.fullmatch(r"[\d_]{1,30}", word):
        chosen = [each for each in episodes if each.episode == int(number[0].replace("_", "") or 0)]
    elif (period := re.fullmatch(r"every:(\d{1,30})", word)) and int(period[1]):
        chosen = [each for each in episodes if each.episode % int(period[1]) == 0]
    if not chosen:
        raise QcadeError(
            f'no episode "{word}": the tape of {run.path} has {episodes[0].episode:,} to '
            f"{episodes[-1].episode:,}; name a number, first, last, best, worst, all, a share of "
            "the run such as 50%, or every:50, or several with commas"
        )
    return chosen
