"""The command `doctor`, and the estimate that `train` prints before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from qcade.cli.reading_options import read_options
from qcade.cli.terminal import RUNS, errors, print_json, print_table, screen
from qcade.compute.cores import available_cores
from qcade.compute.hardware import busy_cores, keep_freed_memory
from qcade.doctor.estimates import quick_estimate
from qcade.doctor.examination import examine
from qcade.doctor.report import busy_sentence, report, sentence
from qcade.recipe import validate
from qcade.recipes import default_recipe_name, make_recipe, recipe_names
from qcade.runs.requirements import Requirements
from qcade.runs.writers import spinner_name
from qcade.shell import shown
from qcade.training.plan import TrainingPlan
from qcade.types import QcadeError

SECONDS_OF_MEASURING, MANY_BUSY_CORES = 0.3, 0.25
"""Share of the cores that other programs may use without being mentioned."""
SECONDS_BEFORE_TRAINING = 1.5
SHORTEST_FRAMES = 100_000
"""Shorter runs are not worth the wait for an estimate."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 3_600.0


@dataclass(frozen=True)
class DoctorOptions:
    """Measure this machine, and estimate the time, memory and disk of every recipe on it."""

    game: str = "pong"
    """The game whose emulators are measured."""
    recipes: tuple[str, ...] = ()
    """The recipes to estimate; by default all that suit the game."""
    seconds: float = 60.0
    """About how long to measure; longer is more precise."""
    json: bool = False
    """Print one JSON object."""


def doctor(words: list[str]) -> int:
    """Measure this machine and estimate every recipe; return the exit code."""
    options = read_options(DoctorOptions, "doctor", words)
    if not SHORTEST_SECONDS <= options.seconds <= LONGEST_SECONDS:
        raise QcadeError(
            f"--seconds is {options.seconds:g}; it must be from {SHORTEST_SECONDS} to "
            f"{LONGEST_SECONDS:,.0f}"
        )
    keep_freed_memory()
    default = default_recipe_name(options.game)
    # The recipe catch is only for small games.
    others = [name for name in recipe_names() if name != "catch" or default == "catch"]
    recipes = [make_recipe(name, options.game) for name in options.recipes or others]
    for recipe in recipes:
        validate(recipe)
    game = make_recipe(default, options.game).game
    with errors.status("measuring", spinner=spinner_name(errors)) as status:
        examination = examine(
            game,
            recipes,
            RUNS,
            options.seconds,
            lambda what: status.update(Text(shown(f"measuring: {what}"))),
        )
    if options.json:
        print_json(examination.to_json())
        return 0
    for part in report(examination):
        print_table(part)
    return 0


def say_what_it_will_take(plan: TrainingPlan, requirements: Requirements) -> None:
    """Measure for a second or two and print an estimate of a run; nothing for a short run."""
    if plan.recipe.total_frames < SHORTEST_FRAMES:
        return
    keep_freed_memory()
    busy = busy_cores(SECONDS_OF_MEASURING)
    screen.print(sentence(quick_estimate(plan, requirements, SECONDS_BEFORE_TRAINING)))
    if busy > MANY_BUSY_CORES * available_cores():
        screen.print(busy_sentence(busy))
