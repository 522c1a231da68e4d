"""The built-in recipes: functions from a game's name to a Recipe, with their sources.

Each file is one recipe: `rainbow` is in rainbow.py, hadamax-pqn is `hadamax_pqn` in hadamax_pqn.py.
The variants of `dqn` are a table in variants.py. Custom recipes can be anywhere: they are found as
`module:function`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from qcade.checks import nearest
from qcade.games.finding import find_game
from qcade.recipe import Recipe
from qcade.recipes._games import with_game
from qcade.recipes.variants import VARIANTS, recipe_function
from qcade.types import QcadeError

__all__ = [
    "RecipeFunction",
    "default_recipe_name",
    "find_recipe",
    "import_own",
    "is_in_working_folder",
    "make_recipe",
    "recipe_names",
    "summary",
    "with_game",
]

RecipeFunction: TypeAlias = Callable[[str], Recipe]


def recipe_names() -> tuple[str, ...]:
    """The names of the built-in recipes, sorted."""
    files = (module.name for module in pkgutil.iter_modules(__path__))
    names = {f.replace("_", "-") for f in files if not f.startswith("_") and f != "variants"}
    return tuple(sorted({*names, *VARIANTS}))


def make_recipe(name: str, game: str) -> Recipe:
    """Make a recipe, by name or `module:function`, for a game; QcadeError if unknown."""
    return find_recipe(name)(game)


def default_recipe_name(game: str | None) -> str:
    """The recipe for a game if the user names none."""
    return "catch" if game is not None and find_game(game).is_small else "dqn"


def find_recipe(name: str) -> RecipeFunction:
    """Look up a built-in recipe, or a custom one by `module:function`; QcadeError if unknown."""
    module_name, colon, function_name = name.partition(":")
    if not colon:
        if name not in recipe_names():
            raise QcadeError(f'unknown recipe "{name}": {nearest(name, recipe_names())}')
        if name in VARIANTS:
            return recipe_function(name)
        function_name = name.replace("-", "_")
        module_name = f"{__name__}.{function_name}"
    try:
        function = getattr(import_own(module_name), function_name)
    except AttributeError as error:
        raise QcadeError(f'recipe "{name}" cannot be imported: {error}') from error
    if not callable(function):
        raise QcadeError(f'recipe "{name}" is not a function from a game to a Recipe')
    found: RecipeFunction = function
    return found


def import_own(module_name: str) -> ModuleType:
    """Import a user's module, also from the working folder; QcadeError if that fails."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:
        # TypeError and ValueError are for names that are not module names, such as ./mine.py.
        raise QcadeError(f'module "{module_name}" cannot be imported: {error}') from error


def is_in_working_folder(module_name: str) -> bool:
    """Whether an imported module is in the working folder, which commands do not search."""
    root = sys.modules[module_name.partition(".")[0]].__file__
    if root is None:
        return False
    file = Path(root)
    folder = file.parent.parent if file.name == "__init__.py" else file.parent
    return folder.resolve() == Path.cwd().resolve()


def summary(function: RecipeFunction) -> str:
    """The first line of a recipe's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]
