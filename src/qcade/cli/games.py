"""The command `games`: lists the games, or the modes of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.table import Table

from qcade.cli.reading_options import read_options
from qcade.cli.terminal import print_json, print_table, screen
from qcade.games.atari import Atari
from qcade.games.finding import built_in_games, find_game
from qcade.games.modes import modes_of
from qcade.games.names import all_games, canonical, gymnasium_id, title
from qcade.games.scores import HUMAN_RANDOM
from qcade.types import JSON, QcadeError


@dataclass(frozen=True)
class GamesOptions:
    """List the games, with the scores of a random player and of a human tester, or describe one."""

    game: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[GAME]", help_behavior_hint="")
    ] = None
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


def _show_one(name: str, as_json: bool) -> None:
    if not isinstance(find_game(name), Atari):
        raise QcadeError(f"{name} is built in and has no modes: `qcade games` lists the others")
    name = canonical(name)
    modes = modes_of(name)
    if as_json:
        print_json({**_described(name, gymnasium_id(name)), **modes._asdict()}, indent=2)
        return
    screen.print(f"{title(name)} ({gymnasium_id(name)})")
    for setting, numbers, default in (
        ("mode", modes.modes, modes.default_mode),
        ("difficulty", modes.difficulties, modes.default_difficulty),
    ):
        listed = ", ".join(map(str, numbers))
        screen.print(f"  --game.{setting:<12} {listed} (default: {default})")


def _listed() -> list[dict[str, JSON]]:
    built_in = [_described(name, None) for name in built_in_games()]
    return built_in + [_described(name, gymnasium_id(name)) for name in all_games()]


def _described(name: str, registered_as: str | None) -> dict[str, JSON]:
    random, human = HUMAN_RANDOM.get(name, (None, None))
    return {
        "name": name.replace("_", "-"),
        "gymnasium_id": registered_as,
        "random_score": random,
        "human_score": human,
    }
