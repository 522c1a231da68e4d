"""The command line: which commands there are, and how each of them ends."""

from __future__ import annotations

import importlib
import importlib.metadata
import traceback
from collections.abc import Callable
from typing import NamedTuple

from qcade.checks import nearest
from qcade.interrupts import INTERRUPTED, QuitAtOnce
from qcade.shell import shown_lines
from qcade.terminal import error_output, errors, output, own_modules, print_error, screen
from qcade.types import EnvironmentFailed, QcadeError

DONE, FAILED, BAD_INPUT = 0, 1, 2


class Command(NamedTuple):
    """What `qcade NAME` does."""

    function: str
    """`module:function`, loaded when it is needed; from words to an exit code."""
    summary: str
    """A line of the overview."""
    trains: bool = False
    """Whether it goes on, with its own exit code, where standard output does not work."""


COMMANDS = {
    "train": Command("qcade.cli_training:train", "Train an agent on a game", trains=True),
    "resume": Command(
        "qcade.cli_training:resume", "Continue a run from its newest checkpoint", trains=True
    ),
    "fork": Command(
        "qcade.cli_training:fork",
        "Start a new run from a checkpoint of another, with a changed recipe",
        trains=True,
    ),
    "runs": Command(
        "qcade.cli_background:show_runs", "List runs with their state, progress, speed and score"
    ),
    "attach": Command(
        "qcade.cli_background:attach",
        "Watch a run that trains elsewhere; leaving it does no harm",
    ),
    "stop": Command("qcade.cli_background:stop", "Ask a run to save a checkpoint and stop"),
    "evaluate": Command(
        "qcade.cli_judging:evaluate",
        "Play whole games under a stated protocol and print scores",
    ),
    "video": Command(
        "qcade.cli_watching:video",
        "Write a video of the trained agent, or of training episodes",
    ),
    "verify": Command("qcade.cli_judging:verify", "Play a whole run again and prove its scores"),
    "episodes": Command(
        "qcade.cli_watching:show_episodes", "List the episodes of a run, to choose from for videos"
    ),
    "recipes": Command(
        "qcade.cli_recipes:show_recipes", "Show all recipes, or every figure of one"
    ),
    "games": Command("qcade.cli_games:show_games", "List the games"),
    "doctor": Command(
        "qcade.cli_doctor:doctor", "Measure this machine, and say what every recipe will take on it"
    ),
}


def run_command(words: list[str]) -> int:
    """Run one command and return its exit code, which docs/guide.md explains.

    Only what is a fault of qcade itself comes out as an exception.
    """
    own_modules.clear()
    is_json = "--json" in words and not {"-h", "--help"} & {*words}
    with error_output.in_place(), output.in_place(error_output if is_json else None):
        code, trains = _run(words)
        output.flush()
        if output.failure is None or output.reader_left:
            return code
        print_error(f"standard output: {output.failure.strerror}")
        return FAILED if code == DONE and not trains else code


def _run(words: list[str]) -> tuple[int, bool]:
    """The exit code of a command, and whether it trains."""
    trains = False
    try:
        words = _import_own_modules(words)
        if not words or words[0] in ("-h", "--help"):
            _print_overview()
            return DONE, False
        if words[0] in ("-V", "--version"):
            screen.print(f"qcade {importlib.metadata.version('qcade')}")
            return DONE, False
        if words[0] not in COMMANDS:
            raise QcadeError(f'unknown command "{words[0]}": {nearest(words[0], COMMANDS)}')
        trains = COMMANDS[words[0]].trains
        return _load(COMMANDS[words[0]])(words[1:]), trains
    except QcadeError as error:
        _print_traceback_of(error)
        print_error(str(error))
        return error.exit_code, trains
    except OSError as error:
        print_error(f"{_place(error)}: {error.strerror or error}")
        return BAD_INPUT if error.filename else FAILED, trains
    except KeyboardInterrupt:
        errors.print("Quit. The last checkpoint is intact." if trains else "Quit.")
        return INTERRUPTED, trains
    except SystemExit as ending:
        # As after --help, or for options that cannot be read: nothing was trained.
        if isinstance(ending.code, str):
            print_error(ending.code)
            return FAILED, False
        return ending.code or DONE, False


def _print_traceback_of(error: QcadeError) -> None:
    """Show where an environment of the user's own failed, unless a run keeps that in a file."""
    cause = error.__cause__
    if isinstance(error, EnvironmentFailed) and cause and not isinstance(cause, QcadeError):
        errors.print(shown_lines("".join(traceback.format_exception(cause)).rstrip()))


def _load(command: Command) -> Callable[[list[str]], int]:
    module, _, name = command.function.partition(":")
    with QuitAtOnce():
        function: Callable[[list[str]], int] = getattr(importlib.import_module(module), name)
    return function


def _place(error: OSError) -> str:
    """What an error of the system is about: a file, or else the line where it came up."""
    if error.filename is not None:
        return str(error.filename)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{where}"


def _import_own_modules(words: list[str]) -> list[str]:
    if "--import" not in words[:-1]:
        return words
    with QuitAtOnce():
        from qcade.recipes import import_own

        position = words.index("--import")
        import_own(words[position + 1])
    own_modules.extend(words[position : position + 2])
    return _import_own_modules(words[:position] + words[position + 2 :])


def _print_overview() -> None:
    screen.print("qcade trains agents of the DQN family to play Atari games from pixels.\n")
    for name, command in COMMANDS.items():
        screen.print(f"  qcade {name:<10} {command.summary}")
    screen.print(
        "\n  qcade --import MODULE COMMAND ...  first import a module that a run has classes of\n"
        "  qcade --version                    print the version\n\n"
        "qcade COMMAND --help tells more. Start with: qcade train pong"
    )
