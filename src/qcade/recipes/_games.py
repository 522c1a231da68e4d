"""Putting a game into a recipe."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from qcade.games.atari import Atari
from qcade.games.catch import Catch
from qcade.games.random_skip import RandomSkipAtari
from qcade.parts import Game
from qcade.recipe import Recipe
from qcade.recipes._small_scale import small_scale

RecipeType = TypeVar("RecipeType", bound=Recipe)


def atari_or_catch(game: str) -> Game:
    """An Atari game by name, or the built-in one."""
    return Catch() if game == "catch" else Atari(game=game)


def with_game(recipe: Recipe, game: str) -> Recipe:
    """The same recipe on another game, shown in the same way if it can be."""
    part = recipe.game
    if isinstance(part, (Atari, RandomSkipAtari)) and game != "catch":
        return dataclasses.replace(recipe, game=dataclasses.replace(part, game=game))
    return dataclasses.replace(recipe, game=atari_or_catch(game))


def sized(recipe: RecipeType) -> RecipeType:
    """The recipe as it is for Atari games; for Catch, a thousandth of it is enough."""
    return small_scale(recipe) if isinstance(recipe.game, Catch) else recipe
