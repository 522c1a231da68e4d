"""The command line: one small function a command; errors in one sentence with exit code 2."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from qcade.checks import nearest
from qcade.cli_background import attach, detach, resume_all, show_runs, stop
from qcade.cli_doctor import doctor, say_what_it_will_take
from qcade.cli_watching import show_episodes, video
from qcade.recipe_json import to_json
from qcade.recipes import find_recipe
from qcade.terminal import RUNS, RunPath, errors, own_modules, parse, screen
from qcade.types import JSON, QcadeError

BAD_INPUT, INTERRUPTED = 2, 130
FINDINGS_SHOWN = 20


def main() -> None:
    """Run the command that the user typed and exit with its code."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(words: list[str]) -> int:
    """Run one command; return its exit code: 0, 2 for bad input, 130 when interrupted."""
    try:
        words = _import_own_modules(words)
        if not words or words[0] in ("-h", "--help"):
            _print_overview()
        elif words[0] in ("-V", "--version"):
            _print_version()
        elif words[0] not in COMMANDS:
            raise QcadeError(f'unknown command "{words[0]}": {nearest(words[0], COMMANDS)}')
        else:
            COMMANDS[words[0]](words[1:])
    except QcadeError as error:
        errors.print(f"qcade: {error}", style="red", markup=False)
        return BAD_INPUT
    except BrokenPipeError:
        # As in `qcade games | head`; nothing more can be printed, not even at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        errors.print(f"qcade: {where}{error.strerror or error}", style="red", markup=False)
        return BAD_INPUT
    except KeyboardInterrupt:
        errors.print("qcade: left at once; the last checkpoint is as it was")
        return INTERRUPTED
    return 0


def train(words: list[str]) -> None:
    """Train an agent on a game"""
    from qcade.options import parse_train
    from qcade.runs.directory import create_run, run_for
    from qcade.runs.lock import holder
    from qcade.runs.needs import check_needs, fitted

    options, recipe = parse_train(words)
    if options.fit:
        asked, recipe = recipe, fitted(recipe)
        if recipe != asked:
            frames = recipe.ring_rows * recipe.environments
            screen.print(f"A memory of {frames:,} frames fits here: taking that.")
    path = options.out or run_for(RUNS, recipe)
    check_needs(recipe, path)
    own_module, colon, _ = (options.recipe or "").partition(":")
    if colon and not str(options.recipe).endswith(".json"):
        own_modules.extend(["--import", own_module])
    directory = create_run(path, recipe)
    if directory.frames() == 0 and holder(path) is None:
        say_what_it_will_take(recipe)
    _carry_out(directory.path, options.detach)


@dataclass(frozen=True)
class ResumeOptions:
    """Go on with a run from its newest checkpoint."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """The run directory; with --all the folder of the runs, which is runs by default."""
    frames: int | None = None
    """A new, greater length of the run in emulator frames."""
    fresh_memory: bool = False
    """Go on with an empty replay memory and new games, if the tape cannot be played here."""
    detach: bool = False
    """Go on in the background; the terminal can be closed."""
    all: bool = False
    """Go on, in the background, with every run that crashed or went down with the machine."""


def resume(words: list[str]) -> None:
    """Go on with a run from its newest checkpoint"""
    from qcade.runs.directory import lengthen_run, open_run
    from qcade.runs.lock import hold

    options = parse(ResumeOptions, "resume", words)
    if options.all:
        if options.frames is not None:
            raise QcadeError("--frames makes one run longer: name it instead of --all")
        if options.fresh_memory:
            raise QcadeError("--fresh-memory is for one run: name it instead of --all")
        resume_all(options.run or RUNS)
        return
    if options.run is None:
        raise QcadeError("which run? `qcade runs` lists them; --all takes up those that crashed")
    directory = open_run(options.run)
    if options.frames is not None:
        with hold(directory.path):
            lengthen_run(directory, options.frames)
    _carry_out(directory.path, options.detach, options.fresh_memory)


def fork(words: list[str]) -> None:
    """Start a new run from a checkpoint of another, with a changed recipe"""
    from qcade.options import parse_fork
    from qcade.runs.directory import fork_path, open_run
    from qcade.runs.forking import fork_run
    from qcade.runs.needs import check_needs

    named = next((Path(w) for w in words[:1] if not w.startswith("-")), None)
    if named is None and "--help" not in words and "-h" not in words:
        raise QcadeError("put the run first: qcade fork RUN --at FRAMES ...")
    parent = open_run(named).recipe() if named else find_recipe("dqn")("pong")
    options, recipe = parse_fork(words, parent)
    path = options.out or fork_path(options.run)
    check_needs(recipe, path)
    made = fork_run(options.run, options.at, recipe, path)
    screen.print(
        f"{path} goes on from {options.run} at frame {made.directory.frames():,}, "
        f"changed: {'; '.join(made.changed) or 'nothing'}",
        markup=False,
    )
    if not made.keeps_memory:
        screen.print(
            "The memory cannot be kept, being of another game or no longer stored: it starts empty."
        )
    _carry_out(path, options.detach)


@dataclass(frozen=True)
class EvaluateOptions:
    """Play whole games with a trained agent under a stated protocol."""

    run: RunPath
    """The run directory."""
    episodes: int = 30
    """Whole games to play."""
    epsilon: float = 0.001
    """Probability of a random action."""
    seed: int = 0
    """Everything random in the games follows from it."""
    checkpoint: str = "newest"
    """newest, best or a frame number."""
    sticky_actions: float | None = None
    """Probability that the emulator repeats the last action; by default as in training."""
    noop_max: int | None = None
    """Most no-op actions at a start; by default as in training."""
    max_episode_frames: int | None = None
    """Emulator frames after which a game is cut; by default as in training."""
    json: bool = False
    """Print one JSON object instead of a table."""


def evaluate(words: list[str]) -> None:
    """Play whole games under a stated protocol and print the scores"""
    from qcade.runs.evaluating import EvaluationRequest, evaluate_run

    options = parse(EvaluateOptions, "evaluate", words)
    changes: dict[str, JSON] = {
        name: value
        for name in ("sticky_actions", "noop_max", "max_episode_frames")
        if (value := getattr(options, name)) is not None
    }
    request = EvaluationRequest(
        options.episodes, options.epsilon, options.seed, options.checkpoint, changes
    )
    result, file = evaluate_run(options.run, request, quiet=options.json, console=errors)
    if options.json:
        print(json.dumps(result))
    else:
        _print_evaluation(result, file)


@dataclass(frozen=True)
class VerifyOptions:
    """Play a run's tape again and compare every score and every file with what was recorded."""

    run: RunPath
    """The run directory."""
    json: bool = False
    """Print one JSON object."""


def verify(words: list[str]) -> None:
    """Play a whole run again and prove its scores"""
    from qcade.playback.verifying import verify_run

    options = parse(VerifyOptions, "verify", words)
    found = verify_run(options.run, errors)
    if options.json:
        print(json.dumps(found.to_json()))
    else:
        shown = found.findings[:FINDINGS_SHOWN]
        left = len(found.findings) - len(shown)
        more = [f"and {left:,} more: --json names them all"] if left else []
        for line in [*shown, *more, *found.remarks]:
            screen.print(line, markup=False)
    if found.findings:
        raise QcadeError(found.summary)
    if not options.json:
        screen.print(found.summary, markup=False)


@dataclass(frozen=True)
class RecipesOptions:
    """Show the recipes, or every figure of one."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """A recipe's name; none lists them all."""
    game: str = "pong"
    """The game that the figures are shown for."""
    json: bool = False
    """Print the recipe as JSON, ready to be edited and used by --recipe FILE.json."""


def show_recipes(words: list[str]) -> None:
    """Show the recipes, or every figure of one"""
    from qcade.recipe_json import absent_parts, flatten
    from qcade.recipes import recipe_names, summary

    options = parse(RecipesOptions, "recipes", words)
    if options.name is None:
        for name in recipe_names():
            screen.print(f"  {name:<16} {summary(find_recipe(name))}", markup=False)
        screen.print("\nqcade recipes NAME shows every figure and the option that changes it.")
        return
    function = find_recipe(options.name)
    recipe = function(options.game)
    figures = to_json(recipe)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    screen.print(f"{options.name}: {summary(function)}\n", markup=False)
    absent = absent_parts(recipe)
    for path, value in flatten(figures).items():
        is_figure = path not in absent and path.split(".")[-1] != "kind"
        option = f"--{path.replace('_', '-')}" if is_figure else ""
        screen.print(f"  {path:<36} {value!s:<48} {option}".rstrip(), markup=False)
    screen.print("\nThe kind of a part is changed in a copy of --json, or in Python.")


@dataclass(frozen=True)
class GamesOptions:
    """List the games."""


def show_games(words: list[str]) -> None:
    """List the games"""
    from qcade.games.names import all_games, gymnasium_id
    from qcade.games.scores import HUMAN_RANDOM

    parse(GamesOptions, "games", words)
    table = Table("game", "Gymnasium id", "random player", "human tester", box=None)
    table.add_row("catch", "(built in, no ROM)", "", "")
    for name in all_games():
        scores = HUMAN_RANDOM.get(name)
        row = ("", "") if scores is None else (f"{scores[0]:,.1f}", f"{scores[1]:,.1f}")
        table.add_row(name.replace("_", "-"), gymnasium_id(name), *row)
    screen.print(table)


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "train": train,
    "resume": resume,
    "fork": fork,
    "runs": show_runs,
    "attach": attach,
    "stop": stop,
    "evaluate": evaluate,
    "video": video,
    "verify": verify,
    "episodes": show_episodes,
    "recipes": show_recipes,
    "games": show_games,
    "doctor": doctor,
}


def _import_own_modules(words: list[str]) -> list[str]:
    if "--import" not in words[:-1]:
        return words
    from qcade.recipes import import_own

    position = words.index("--import")
    import_own(words[position + 1])
    own_modules.extend(words[position : position + 2])
    return _import_own_modules(words[:position] + words[position + 2 :])


def _carry_out(path: Path, detached: bool, fresh_memory: bool = False) -> None:
    from qcade.runs.carrying_out import carry_out
    from qcade.runs.directory import open_run

    directory = open_run(path)
    recipe = directory.recipe()
    if directory.is_complete():
        screen.print(f"{path} is complete ({directory.frames():,} frames).")
    elif detached:
        detach(path, fresh_memory)
        return
    else:
        outcome = carry_out(directory, recipe, screen, fresh_memory)
        if outcome == "interrupted":
            screen.print(
                f"Stopped and saved at frame {directory.frames():,}. Go on with:\n"
                f"  qcade resume {path}"
            )
            return
        screen.print(f"Complete: {directory.frames():,} frames in {path}.")
    screen.print(
        f"Next:\n  qcade evaluate {path}\n  qcade video {path}\n"
        f"  tensorboard --logdir {path / 'tensorboard'}"
    )


def _print_evaluation(result: dict[str, JSON], file: Path) -> None:
    normalized = result["human_normalized"]
    screen.print(
        f"{result['game']}: mean {result['mean']:,.1f}, median {result['median']:,.1f}, "
        f"standard deviation {result['std']:,.1f}, from {result['min']:,.0f} "
        f"to {result['max']:,.0f}, over {result['episodes']} whole games"
    )
    if isinstance(normalized, float):
        screen.print(f"human-normalised: {normalized:.1%} (0% random player, 100% human tester)")
    published = result["published"]
    if isinstance(published, dict) and published:
        figures = ", ".join(f"{name} {score:,.1f}" for name, score in published.items())
        screen.print(f"published at 200M frames, no-op starts, no sticky actions: {figures}")
    protocol = result["protocol"]
    assert isinstance(protocol, dict)
    screen.print("protocol: " + ", ".join(f"{k} {v}" for k, v in protocol.items()), markup=False)
    screen.print(f"written to {file}")


def _print_overview() -> None:
    screen.print("qcade trains agents of the DQN family to play Atari games from pixels.\n")
    for name, command in COMMANDS.items():
        screen.print(f"  qcade {name:<10} {command.__doc__}")
    screen.print(
        "\n  qcade --import MODULE COMMAND ...  first import a module that a run has classes of\n"
        "  qcade --version                    print the version\n\n"
        "qcade COMMAND --help tells more. Start with: qcade train pong"
    )


def _print_version() -> None:
    from qcade.runs.directory import package_versions

    screen.print(f"qcade {package_versions()['qcade']}")
