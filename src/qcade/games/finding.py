"""Finding a game by name: a built-in game, which is a file in this folder, or an Atari game.

To add a game, add a file `games/NAME.py` with one class that needs no arguments.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil

from qcade.games.atari import Atari
from qcade.games.names import all_games, canonical
from qcade.parts import Game
from qcade.types import QcadeError


def find_game(name: str) -> Game:
    """Return the game with this name and default settings; QcadeError suggests similar names."""
    file = name.strip().casefold().replace("-", "_")
    if file in _files():
        game = _game_in(file)
        if game is not None:
            return game
    try:
        return Atari(canonical(name))
    except QcadeError:
        close = difflib.get_close_matches(file, built_in_games(), n=1)
        if close:
            raise QcadeError(f'unknown game "{name}": did you mean {close[0]}?') from None
        raise


@functools.cache
def built_in_games() -> tuple[str, ...]:
    """The names of the built-in games, which need no ROM, sorted."""
    return tuple(sorted(file for file in _files() if _game_in(file) is not None))


def game_names() -> tuple[str, ...]:
    """The names of all games, built-in ones first."""
    return (*built_in_games(), *all_games())


@functools.cache
def _files() -> frozenset[str]:
    path = importlib.import_module("qcade.games").__path__
    return frozenset(module.name for module in pkgutil.iter_modules(path))


def _game_in(file: str) -> Game | None:
    """The game defined by a file; None if the file defines none."""
    module = importlib.import_module(f"qcade.games.{file}")
    for cls in vars(module).values():
        if not isinstance(cls, type) or cls.__module__ != module.__name__:
            continue
        if issubclass(cls, Game) and not inspect.isabstract(cls):
            game = cls()
            if game.slug == file:
                return game
    return None
