"""The command line: the table of commands, and the exit code of each."""

from __future__ import annotations

import importlib
import importlib.metadata
import traceback
from collections.abc import Callable
from typing import NamedTuple

from qcade.checks import nearest
from qcade.cli.terminal import error_output, errors, output, own_modules, print_error, screen
from qcade.interrupts import INTERRUPTED, QuitAtOnce
from qcade.shell import shown_lines
from qcade.types import EnvironmentFailed, QcadeError

DONE, FAILED, BAD_INPUT = 0, 1, 2


class Command(NamedTuple):
    """What `qcade NAME` does."""

    function: str
    """`module:function` from words to an exit code, loaded when it is needed."""
    summary: str
    """Its line in the overview."""
    trains: bool = False
    """Whether it continues, with its own exit code, if standard output fails."""


COMMANDS = {
    "train": Command("qcade.cli.training:train", "Train an agent on a game", trains=True),
    "resume": Command(
        "qcade.cli.training:resume", "Continue a run from its newest checkpoint", trains=True
    ),
    "fork": Command(
        "qcade.cli.training:fork",
        "Start a new run from a checkpoint of another, with a changed recipe",
        trains=True,
    ),
    "runs": Command(
        "qcade.cli.background:show_runs", "List runs with their state, progress, speed and score"
    ),
    "attach": Command(
        "qcade.cli.background:attach",
        "Watch a run that trains elsewhere; leaving does not stop it",
    ),
    "stop": Command("qcade.cli.background:stop", "Ask a run to save a checkpoint and stop"),
    "evaluate": Command(
        "qcade.cli.judging:evaluate",
        "Play whole games under a stated protocol and print scores",
    ),
    "video": Command(
        "qcade.cli.video:video",
        "Write a video of the trained agent, or of training episodes",
    ),
    "verify": Command("qcade.cli.judging:verify", "Play a whole run again and prove its scores"),
    "episodes": Command(
        "qcade.cli.episodes:show_episodes", "List the episodes of a run, to choose from for videos"
    ),
    "recipes": Command(
        "qcade.cli.recipes:show_recipes", "Show all recipes, or every figure of one"
    ),
    "games": Command("qcade.cli.games:show_games", "List the games"),
    "doctor": Command(
        "qcade.cli.doctor:doctor", "Measure this machine, and estimate every recipe on it"
    ),
}


def run_command(words: list[str]) -> int:
    """Run one command and return its exit code, as listed in docs/guide.md.

    Only a fault of qcade itself is raised as an exception.
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
    """Run a command; return its exit code, and whether it trains."""
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
        # Raised by --help, or for options that cannot be read: nothing was trained.
        if isinstance(ending.code, str):
            print_error(ending.code)
            return FAILED, False
        return ending.code or DONE, False


def _print_traceback_of(error: QcadeError) -> None:
    """Print the traceback of a custom environment, unless a run has saved it in a file."""
    cause = error.__cause__
    if isinstance(error, EnvironmentFailed) and cause and not isinstance(cause, QcadeError):
        errors.print(shown_lines("".join(traceback.format_exception(cause)).rstrip()))


def _load(command: Command) -> Callable[[list[str]], int]:
    module, _, name = command.function.partition(":")
    with QuitAtOnce():
        function: Callable[[list[str]], int] = getattr(importlib.import_module(module), name)
    return function


def _place(error: OSError) -> str:
    """Return the file that a system error is about, or else the line that raised it."""
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
        "\n  qcade --import MODULE COMMAND ...  first import a module with classes of the run\n"
        "  qcade --version                    print the version\n\n"
        "qcade COMMAND --help lists its options. Start with: qcade train pong"
    )
