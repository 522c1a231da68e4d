"""The command `recipes`: shows all recipes, or every figure of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from qcade.cli.reading_options import read_options
from qcade.cli.terminal import print_json, screen
from qcade.recipe.as_json import absent_parts, flatten, to_json
from qcade.recipes import find_recipe, recipe_names, summary
from qcade.types import JSON


@dataclass(frozen=True)
class RecipesOptions:
    """Show the recipes, or every figure of one."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """A recipe's name; by default all are listed."""
    game: str = "pong"
    """The game that the figures are shown for."""
    json: bool = False
    """Print JSON: a recipe ready to be edited and used by --recipe FILE.json, or the list."""


def show_recipes(words: list[str]) -> int:
    """Show the recipes, or every figure of one; return the exit code."""
    options = read_options(RecipesOptions, "recipes", words)
    if options.name is None:
        _show_all(options.json)
    elif options.json:
        print_json(to_json(find_recipe(options.name)(options.game)), indent=2)
    else:
        _show_one(options.name, options.game)
    return 0


def _show_all(as_json: bool) -> None:
    summaries = {name: summary(find_recipe(name)) for name in recipe_names()}
    if as_json:
        listed: list[JSON] = [{"name": name, "summary": text} for name, text in summaries.items()]
        print_json(listed, indent=2)
        return
    for name, text in summaries.items():
        screen.print(f"  {name:<16} {text}")
    screen.print("\nqcade recipes NAME shows every figure and the option that changes it.")


def _show_one(name: str, game: str) -> None:
    function = find_recipe(name)
    recipe = function(game)
    screen.print(f"{name}: {summary(function)}\n")
    absent = absent_parts(recipe)
    for path, value in flatten(to_json(recipe)).items():
        if path == "format":
            continue
        is_figure = path not in absent and path.split(".")[-1] != "kind"
        option = f"--{path.replace('_', '-')}" if is_figure else ""
        screen.print(f"  {path:<36} {value!s:<48} {option}".rstrip())
    screen.print("\nTo change the kind of a part, edit a copy of the --json output, or use Python.")
