"""The command that lists the games, and the modes of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.table import Table

from qcade.games.modes import modes_of
from qcade.games.names import all_games, canonical, gymnasium_id, title
from qcade.games.scores import HUMAN_RANDOM
from qcade.reading_options import read_options
from qcade.terminal import print_json, print_table, screen
from qcade.types import JSON, QcadeError


@dataclass(frozen=True)
class GamesOptions:
    """List the games, with the scores of a random player and of a human tester, or describe one."""

    game: Annotated[str | None, tyro.conf.Positional] = None
    """A game, whose modes and difficulties are listed; by default all games."""
    json: bool = False
    """Print JSON instead of a table: a list of the games, or one object for GAME."""


def show_games(words: list[str]) -> int:
    """List the games, or the modes of one; return the exit code."""
    options = read_options(GamesOptions, "games", words)
    if options.game is not None:
        _show_one(options.game, options.json)
    elif options.json:
        print_json(_listed(), indent=2)
    else:
        _show_all()
    return 0


def _show_all() -> None:
    table = Table("game", "Gymnasium id", "random player", "human tester", box=None)
    for game in _listed():
        random, human = game["random_score"], game["human_score"]
        table.add_row(
            str(game["name"]),
            str(game["gymnasium_id"] or "(built in, no ROM)"),
            "" if random is None else f"{random:,.1f}",
            "" if human is None else f"{human:,.1f}",
        )
    print_table(table)


def _show_one(typed: str, as_json: bool) -> None:
    if typed == "catch":
        raise QcadeError("catch is built in and has no modes: qcade games lists the others")
    name = canonical(typed)
    offered = modes_of(name)
    if as_json:
        print_json({**_described(name, gymnasium_id(name)), **offered._asdict()}, indent=2)
        return
    screen.print(f"{title(name)} ({gymnasium_id(name)})")
    for setting, numbers, default in (
        ("mode", offered.modes, offered.default_mode),
        ("difficulty", offered.difficulties, offered.default_difficulty),
    ):
        listed = ", ".join(map(str, numbers))
        screen.print(f"  --game.{setting:<12} {listed} (default: {default})")


def _listed() -> list[dict[str, JSON]]:
    return [_described("catch", None)] + [
        _described(name, gymnasium_id(name)) for name in all_games()
    ]


def _described(name: str, registered_as: str | None) -> dict[str, JSON]:
    random, human = HUMAN_RANDOM.get(name, (None, None))
    return {
        "name": name.replace("_", "-"),
        "gymnasium_id": registered_as,
        "random_score": random,
        "human_score": human,
    }
