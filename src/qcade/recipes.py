"""The named recipes: each a function from a game to a Recipe, with its source."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeAlias

from qcade.agent.exploration import ExponentialEpsilon, LinearEpsilon
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.double_dqn import DoubleDQN
from qcade.algorithms.dqn import DQN
from qcade.algorithms.tutorial import TutorialDQN
from qcade.checks import nearest
from qcade.games.atari import Atari
from qcade.games.catch import Catch
from qcade.games.random_skip import RandomSkipAtari
from qcade.networks.streams import Dueling
from qcade.networks.torsos import Nature, TutorialTorso
from qcade.recipe import Checkpoints, Recipe, Replay, Updates
from qcade.types import Game, QcadeError

RecipeFunction: TypeAlias = Callable[[str], Recipe]


def dqn(game: str) -> Recipe:
    """The Nature network and Q-learning as people run it today: Adam, Huber, one update per 4.

    Figures: Mnih et al. 2015; Adam at 1e-4, epsilon to 0.01 and a target copied every 1,000
    decisions as in CleanRL and Stable-Baselines3.
    """
    return Recipe(
        name="dqn",
        game=_atari_or_catch(game),
        torso=Nature(),
        algorithm=DQN(),
        exploration=LinearEpsilon(),
        optimizer=Adam(),
        target=HardCopy(period_updates=250),
    )


def double_dqn(game: str) -> Recipe:
    """`dqn` whose next action is chosen by the online network (van Hasselt et al. 2016)."""
    return dataclasses.replace(dqn(game), name="double-dqn", algorithm=DoubleDQN())


def dueling(game: str) -> Recipe:
    """`double-dqn` with separate streams for state value and advantages (Wang et al. 2016)."""
    return dataclasses.replace(dqn(game), name="dueling", algorithm=DoubleDQN(streams=Dueling()))


def catch(game: str) -> Recipe:
    """`dqn` scaled down for the built-in game Catch: solved in a minute on a laptop."""
    return dataclasses.replace(
        dqn(game),
        name="catch",
        exploration=LinearEpsilon(end=0.01, decay_decisions=4_000),
        optimizer=Adam(learning_rate=5e-4),
        target=HardCopy(period_updates=100),
        replay=Replay(capacity=10_000),
        updates=Updates(start_frames=500, period_decisions=4, batch_size=32),
        total_frames=6_000,
        checkpoints=Checkpoints(period_frames=3_000),
    )


def tutorial(game: str) -> Recipe:
    """The well-known Keras tutorial's agent, figure for figure, its mistakes repaired.

    docs/from-the-tutorial.md names each mistake and the setting that brings it back.
    """
    return Recipe(
        name="tutorial",
        game=Catch() if game == "catch" else RandomSkipAtari(game=game),
        torso=TutorialTorso(),
        algorithm=TutorialDQN(),
        exploration=ExponentialEpsilon(start=1.0, end=0.01, rate_per_decision=3e-5),
        optimizer=Adam(learning_rate=2.5e-4, epsilon=1e-7, max_gradient_norm=None),
        target=HardCopy(period_updates=1),
        replay=Replay(capacity=1_000_000, gamma=0.9, clip_rewards=False),
        updates=Updates(start_frames=64 * 3, period_decisions=1, batch_size=64),
        checkpoints=Checkpoints(period_frames=0, period_episodes=1),
        environments=1,
    )


RECIPES: dict[str, RecipeFunction] = {
    "dqn": dqn,
    "double-dqn": double_dqn,
    "dueling": dueling,
    "tutorial": tutorial,
    "catch": catch,
}


def default_recipe_name(game: str | None) -> str:
    """The recipe of those who name none."""
    return "catch" if game == "catch" else "dqn"


def with_game(recipe: Recipe, game: str) -> Recipe:
    """The same recipe on another game, shown in the same way if it can be."""
    part = recipe.game
    if isinstance(part, (Atari, RandomSkipAtari)) and game != "catch":
        return dataclasses.replace(recipe, game=dataclasses.replace(part, game=game))
    return dataclasses.replace(recipe, game=_atari_or_catch(game))


def _atari_or_catch(game: str) -> Game:
    return Catch() if game == "catch" else Atari(game=game)


def find_recipe(name: str) -> RecipeFunction:
    """Look up a built-in recipe, or `module:function` of the user's own; QcadeError if unknown."""
    if name in RECIPES:
        return RECIPES[name]
    module_name, colon, function_name = name.partition(":")
    if not colon:
        raise QcadeError(f'unknown recipe "{name}": {nearest(name, RECIPES)}')
    try:
        function = getattr(import_own(module_name), function_name)
    except AttributeError as error:
        raise QcadeError(f'recipe "{name}" cannot be imported: {error}') from error
    if not callable(function):
        raise QcadeError(f'recipe "{name}" is no function from a game to a Recipe')
    found: RecipeFunction = function
    return found


def import_own(module_name: str) -> ModuleType:
    """Import a user's module, from the working folder too; QcadeError if that fails."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise QcadeError(f'module "{module_name}" cannot be imported: {error}') from error


def summary(function: RecipeFunction) -> str:
    """The first line of a recipe's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]
