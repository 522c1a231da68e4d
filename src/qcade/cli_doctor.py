"""The command that examines the machine, and what `train` says before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from qcade.doctor.estimates import quick_estimate
from qcade.doctor.examination import examine
from qcade.doctor.report import busy_sentence, report, sentence
from qcade.machine import available_cores, busy_cores
from qcade.reading_options import read_options
from qcade.recipe import Recipe, validate
from qcade.recipes import default_recipe_name, make_recipe, recipe_names
from qcade.runs.writers import spinner_name
from qcade.shell import shown
from qcade.terminal import RUNS, errors, print_json, print_table, screen
from qcade.types import QcadeError

SECONDS_OF_LOOKING, MANY_BUSY_CORES = 0.3, 0.25
"""Share of the cores that other programs may use before they are spoken of."""
SECONDS_BEFORE_TRAINING = 1.5
SHORTEST_FRAMES = 100_000
"""Shorter runs are over before an estimate is worth the wait."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 3_600.0


@dataclass(frozen=True)
class DoctorOptions:
    """Measure this machine, and say what every recipe will take on it."""

    game: str = "pong"
    """The game whose emulators are measured."""
    recipes: tuple[str, ...] = ()
    """The recipes to estimate; by default all that are meant for the game."""
    seconds: float = 60.0
    """About how long to measure; more is more exact."""
    json: bool = False
    """Print one JSON object."""


def doctor(words: list[str]) -> int:
    """Measure this machine: what will each recipe take? Return the exit code."""
    options = read_options(DoctorOptions, "doctor", words)
    if not SHORTEST_SECONDS <= options.seconds <= LONGEST_SECONDS:
        raise QcadeError(
            f"--seconds is {options.seconds:g}; it must be from {SHORTEST_SECONDS} to "
            f"{LONGEST_SECONDS:,.0f}"
        )
    default = default_recipe_name(options.game)
    others = [name for name in recipe_names() if name != "catch" or default == "catch"]
    recipes = [make_recipe(name, options.game) for name in options.recipes or others]
    for recipe in recipes:
        validate(recipe)
    game = make_recipe(default, options.game).game
    with errors.status("measuring", spinner=spinner_name(errors)) as status:
        found = examine(
            game,
            recipes,
            RUNS,
            options.seconds,
            lambda what: status.update(Text(shown(f"measuring: {what}"))),
        )
    if options.json:
        print_json(found.to_json())
        return 0
    for part in report(found):
        print_table(part)
    return 0


def say_what_it_will_take(recipe: Recipe) -> None:
    """Measure for a second or two and print what a run will take; nothing for a short run."""
    if recipe.total_frames < SHORTEST_FRAMES:
        return
    busy = busy_cores(SECONDS_OF_LOOKING)
    screen.print(sentence(quick_estimate(recipe, SECONDS_BEFORE_TRAINING)))
    if busy > MANY_BUSY_CORES * available_cores():
        screen.print(busy_sentence(busy))
