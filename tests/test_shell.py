"""Commands that can be copied, and names that cannot command a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcade.background.processes import next_step
from qcade.runs.reading.status import RunStatus
from qcade.shell import command_line, quoted, shown, typed_command

posix = pytest.mark.skipif(os.name == "nt", reason="cmd.exe quotes otherwise")

ODD_NAMES = [
    "plain",
    "a b",
    "it's",
    'say "x"',
    "$HOME `id` *",
    "-x",
    "~",
    "ünï-日本",
    "a\\b",
    "a\tb\nc",
    "\x1b[31mred\x07",
    "\u202ereversed",
    "caf\udce9",
]


@posix
@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_shell_reads_a_quoted_command_as_the_same_words(name: str) -> None:
    line = quoted("printf", "%s", Path(name))
    assert not any(ord(character) < 32 or character == "\x7f" for character in line)
    printed = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    expected = f"./{name}" if name.startswith("-") else name
    assert printed == os.fsencode(expected)


@posix
def test_commands_are_quoted_only_where_they_must_be() -> None:
    assert command_line("resume", Path("runs/pong-dqn-1")) == "qcade resume runs/pong-dqn-1"
    assert command_line("resume", Path("a b"), "--fresh-memory") == (
        "qcade resume 'a b' --fresh-memory"
    )
    # A word that is no path may be an option.
    assert command_line("-V") == "qcade -V"


def test_windows_gets_double_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert command_line("resume", Path("a b")) == 'qcade resume "a b"'


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["/venv/bin/qcade", "train", "pong"], "qcade train pong"),
        (["/lib/qcade/__main__.py", "train", "pong"], "qcade train pong"),
        (["/home/me/my train.py"], quoted("my train.py")),
        ([], quoted("")),
    ],
)
def test_the_command_that_was_typed_can_be_typed_again(argv: list[str], line: str) -> None:
    assert typed_command(argv) == line


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_shown_in_one_line_without_control_characters(name: str) -> None:
    text = shown(name)
    assert text.isprintable()
    assert text == name or "\\" in text
    assert shown(text) == text


def test_names_are_shown_with_escapes_that_say_which_character_it_is() -> None:
    assert shown("a\x1b[31m\nb\udce9\u202e") == r"a\x1b[31m\nb\udce9\u202e"


@posix
@pytest.mark.parametrize(
    ("state", "command"), [("finished", "evaluate"), ("running", "attach"), ("stopped", "resume")]
)
def test_what_is_offered_next_has_the_modules_and_the_quotes_that_it_needs(
    state: str, command: str
) -> None:
    run = RunStatus(Path("a b"), "catch", "catch", state, 8, 16, None, None, None)  # type: ignore[arg-type]
    assert f"`qcade {command} 'a b'`" in next_step(run)
    assert f"`qcade --import mine {command} 'a b'`" in next_step(run, ["--import", "mine"])
