"""Setting the game of a recipe."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from qcade.games.atari import Atari
from qcade.games.finding import find_game
from qcade.games.random_skip import RandomSkipAtari
from qcade.parts import Game
from qcade.recipe import Recipe
from qcade.recipes._small_scale import small_scale

RecipeType = TypeVar("RecipeType", bound=Recipe)


def game_as_played(name: str, sticky_actions: float = 0.0, life_loss_terminal: bool = True) -> Game:
    """Return a game by name; the settings apply if it is an Atari game."""
    game = find_game(name)
    if not isinstance(game, Atari):
        return game
    return dataclasses.replace(
        game, sticky_actions=sticky_actions, life_loss_terminal=life_loss_terminal
    )


def with_game(recipe: Recipe, name: str) -> Recipe:
    """Return the same recipe for another game, with the same game settings where possible.

    ROM file, mode and difficulty are reset, since they belong to one game.
    """
    part, found = recipe.game, find_game(name)
    if isinstance(part, (Atari, RandomSkipAtari)) and isinstance(found, Atari):
        other = dataclasses.replace(part, game=name)
        if other.game != part.game:
            other = dataclasses.replace(other, mode=None, difficulty=None)
            if isinstance(other, Atari):
                other = dataclasses.replace(other, rom=None, rom_md5=None)
        return dataclasses.replace(recipe, game=other)
    return dataclasses.replace(recipe, game=found)


def sized(recipe: RecipeType) -> RecipeType:
    """Return the recipe, scaled down if its game is a small one."""
    return small_scale(recipe) if recipe.game.is_small else recipe
