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


def atari_or_catch(game: str, sticky_actions: float = 0.0, life_loss_terminal: bool = True) -> Game:
    """An Atari game by name, played as a paper plays it, or the built-in one."""
    if game == "catch":
        return Catch()
    return Atari(game, sticky_actions=sticky_actions, life_loss_terminal=life_loss_terminal)


def with_game(recipe: Recipe, game: str) -> Recipe:
    """The same recipe on another game, shown in the same way if it can be.

    ROM file, mode and difficulty are of one game alone.
    """
    part = recipe.game
    if isinstance(part, (Atari, RandomSkipAtari)) and game != "catch":
        other = dataclasses.replace(part, game=game)
        if other.game != part.game:
            other = dataclasses.replace(other, mode=None, difficulty=None)
            if isinstance(other, Atari):
                other = dataclasses.replace(other, rom=None, rom_md5=None)
        return dataclasses.replace(recipe, game=other)
    return dataclasses.replace(recipe, game=atari_or_catch(game))


def sized(recipe: RecipeType) -> RecipeType:
    """The recipe as it is for Atari games; for Catch, a thousandth of it is enough."""
    return small_scale(recipe) if isinstance(recipe.game, Catch) else recipe
