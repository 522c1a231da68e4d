"""What reaches the terminal: names as they are, in any encoding, wherever output goes."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console
from rich.table import Table

from qcade.cli.main import run_command
from qcade.cli.standard_streams import StandardStream
from qcade.cli.terminal import PlainConsole, print_json, print_table, screen
from qcade.runs.reading.scores import RecentScores
from qcade.runs.writers import Screen
from qcade.shell import command_line, shown

from command import qcade

SMALL = "--frames 16 --replay.capacity 2000 --updates.start-frames 200 --compute.threads 1".split()
SMALL_CATCH = ["catch", *SMALL]

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such file")


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "run"
    assert run_command(["train", *SMALL_CATCH, "--out", str(path)]) == 0
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Terminal(io.StringIO):
    """A terminal in memory."""

    def isatty(self) -> bool:
        return True


def print_to(stream: TextIO, words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        return run_command(words.split())


@posix
@pytest.mark.parametrize(
    "name", ["a [red]b", "[/]", ":smile:", "\x1b[31mred", "two\nlines", "caf\udce9", "\u202ex"]
)
def test_names_are_printed_as_they_are_and_command_nothing(
    name: str, small_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(small_run, folder / "runs" / name)
    run = Path("runs") / name
    listed = qcade("runs", capsys).out.splitlines()
    assert listed[1].startswith(f"{shown(run)}  finished")
    assert len(listed) == 2
    complete = qcade(["resume", str(run)], capsys).out.splitlines()
    assert complete[0] == f"{shown(run)} is complete (16 frames)."
    assert complete[2] == f"  {command_line('evaluate', run)}"
    # Another recipe for the same folder: what continues the run is offered with quotes too.
    other = qcade(["train", *SMALL_CATCH, "--frames", "32", "--out", str(run)], capsys)
    assert f"`{command_line('resume', run, '--frames', '32')}`" in other.err
    refused = qcade(["resume", str(run / "nothing")], capsys).err
    assert refused == f"qcade: there is no run at {shown(run / 'nothing')}\n"
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", "".join([*listed, *complete, refused]))
    [data] = json.loads(qcade("runs --json", capsys).out)
    assert data["path"] == str(run)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_lacks_is_escaped(
    encoding: str,
    small_run: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(small_run, folder / "runs" / "ünï-日本")
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        codes = [run_command(words.split()) for words in ("runs", "resume 日本", "train --é 1")]
    assert codes == [0, 2, 2]
    printed = [stream.buffer.getvalue().decode(encoding) for stream in (out, err)]
    assert r"\u65e5\u672c  finished" in printed[0]
    assert r"qcade: there is no run at \u65e5\u672c" in printed[1]


@pytest.mark.parametrize(("encoding", "is_drawn"), [("utf-8", True), ("ascii", False)])
def test_bars_are_made_of_what_the_encoding_has(encoding: str, is_drawn: bool) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace")
    console = Console(file=file, force_terminal=True, width=100)
    screen = Screen(console, total_frames=100, frames=50, scores=RecentScores())
    screen.close()
    file.flush()
    drawn = file.buffer.getvalue().decode(encoding)
    assert "50.0%" in drawn
    assert "\\u" not in drawn
    assert ("━" in drawn) == is_drawn


def table_of_names(*names: str) -> Table:
    table = Table("run", "state", "frames", box=None, pad_edge=False)
    for name in names:
        table.add_row(name, "finished", "10,000,000")
    return table


def printed_in_terminal(table: Table, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        # COLUMNS counts when a console is made, which was before the test.
        patch.setattr(screen, "_width", width)
        patch.delenv("FORCE_COLOR", raising=False)
        print_table(table)
    return re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue()).splitlines()


def test_a_table_fits_a_terminal_by_folding_its_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "runs/" + "x" * 90 + "/y"
    lines = printed_in_terminal(table_of_names(long, "runs/short"), 60, monkeypatch)
    assert max(map(len, lines)) <= 60
    assert "".join(line[:38].strip() for line in lines[1:-1]) == long
    assert [line.split()[-1] for line in lines[1:] if "finished" in line] == ["10,000,000"] * 2
    # In a wider terminal, and where there is none, nothing is folded.
    for lines in (
        printed_in_terminal(table_of_names(long), 200, monkeypatch),
        capsys.readouterr().out.splitlines(),
    ):
        if lines:
            assert [line.split() for line in lines][1] == [long, "finished", "10,000,000"]
    print_table(table_of_names(long))
    assert capsys.readouterr().out.splitlines()[1].split() == [long, "finished", "10,000,000"]
    # Where there is no room for figures, none of them is cut off.
    lines = printed_in_terminal(table_of_names(long), 30, monkeypatch)
    assert "10,000,000" in lines[1]


def test_every_json_is_alone_on_standard_output(
    small_run: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where modules of the user's own print."""
    (folder / "chatty.py").write_text("print('hello from a module')")
    monkeypatch.syspath_prepend(folder)
    for words in (
        "runs --json",
        f"runs {small_run.parent} --json",
        "recipes --json",
        "recipes dqn --json",
        "games --json",
        f"episodes {small_run} --json",
        f"verify {small_run} --json",
        f"evaluate {small_run} --episodes 1 --json",
    ):
        sys.modules.pop("chatty", None)
        answer = qcade(f"--import chatty {words}", capsys)
        assert answer.code == 0, answer.err
        assert isinstance(json.loads(answer.out), (list, dict))
        assert answer.out.isascii()
        assert "hello from a module" in answer.err
    for words in ("runs nowhere --json", "recipes nothing --json", "evaluate nothing --json"):
        answer = qcade(words, capsys)
        assert (answer.code, answer.out) == (2, "")


def test_lists_as_json_hold_what_the_tables_show(capsys: pytest.CaptureFixture[str]) -> None:
    recipes = json.loads(qcade("recipes --json", capsys).out)
    table = qcade("recipes", capsys).out
    assert all(f"  {r['name']:<16} {r['summary']}\n" in table for r in recipes)
    assert {"dqn", "rainbow", "catch"} <= {r["name"] for r in recipes}
    games = {game["name"]: game for game in json.loads(qcade("games --json", capsys).out)}
    assert len(games) == 105
    assert games["pong"] == {
        "name": "pong",
        "gymnasium_id": "ALE/Pong-v5",
        "random_score": -20.7,
        "human_score": 14.6,
    }
    assert games["catch"]["gymnasium_id"] is None


def test_numbers_that_json_lacks_are_printed_as_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [float("inf"), 1.5, {"c": -float("inf")}], "é": None})
    printed = capsys.readouterr().out
    assert printed == '{"a": null, "b": [null, 1.5, {"c": null}], "\\u00e9": null}\n'


@posix
def test_a_full_standard_output_is_an_error_of_all_but_trainings(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    train = " ".join(["train", *SMALL_CATCH, "--out", "run"])
    for words, code in (("games", 1), ("games --json", 1), ("--help", 1), ("train --help", 1)):
        with open("/dev/full", "w") as full:
            assert print_to(full, words, monkeypatch) == code
        error = capsys.readouterr().err
        assert error == "qcade: standard output: No space left on device\n"
    for words, code in ((train, 0), (train, 0), ("resume nothing", 2)):
        with open("/dev/full", "w") as full:
            assert print_to(full, words, monkeypatch) == code
    assert qcade("runs . --json", capsys).out.count('"finished"') == 1


@posix
@pytest.mark.parametrize("words", ["games", "games --json", "--help", "recipes"])
def test_a_reader_that_leaves_is_no_error(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        assert print_to(stream, words, monkeypatch) == 0
    assert capsys.readouterr().err == ""


def test_prints_of_a_training_do_not_end_it_where_nobody_reads(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even those of modules that know nothing of qcade's consoles."""
    (folder / "talkative.py").write_text(
        "import dataclasses\n"
        "from qcade.recipes.catch import catch\n"
        "from qcade.games.catch import Catch\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Talkative(Catch):\n"
        "    def open(self, *arguments, **others):\n"
        "        print('opening', flush=True)\n"
        "        return super().open(*arguments, **others)\n"
        "def recipe(game):\n"
        "    return dataclasses.replace(catch(game), game=Talkative())\n"
    )
    monkeypatch.syspath_prepend(folder)
    reading, writing = os.pipe()
    os.close(reading)
    words = ["train", *SMALL_CATCH, "--recipe", "talkative:recipe", "--out", "run"]
    with open(writing, "w") as stream:
        assert print_to(stream, " ".join(words), monkeypatch) == 0
    assert capsys.readouterr().err == ""
    again = qcade(words, capsys)
    assert "run is complete (16 frames)" in again.out
    # What is offered next needs the module too.
    assert "  qcade --import talkative evaluate run\n" in again.out


@pytest.mark.parametrize(
    ("raised", "code", "sentence"),
    [
        ("BrokenPipeError(32, 'Broken pipe')", 1, "BrokenPipeError ({file}, line 1): Broken pipe"),
        ("OSError(28, 'No space left on device')", 1, "OSError ({file}, line 1): No space left"),
        ("PermissionError(13, 'Permission denied', 'a b')", 2, "qcade: a b: Permission denied"),
        ("__import__('qcade').types.RunFailed('it failed')", 1, "qcade: it failed"),
        ("__import__('qcade').QcadeError('it is wrong')", 2, "qcade: it is wrong"),
        ("SystemExit('it ends')", 1, "qcade: it ends"),
        ("SystemExit(7)", 7, ""),
        ("KeyboardInterrupt", 130, "Quit."),
    ],
)
def test_how_a_command_fails_is_its_exit_code_and_what_failed_is_named(
    raised: str,
    code: int,
    sentence: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "failing.py").write_text(f"raise {raised}\n")
    monkeypatch.syspath_prepend(folder)
    answer = qcade("--import failing games", capsys)
    assert (answer.code, answer.out) == (code, "")
    assert sentence.format(file=folder / "failing.py") in answer.err
    assert "Traceback" not in answer.err


def test_a_fault_of_qcade_itself_is_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "faulty.py").write_text("raise ZeroDivisionError\n")
    monkeypatch.syspath_prepend(folder)
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError):
        run_command(["--import", "faulty", "games"])
    assert (sys.stdout, sys.stderr) == before


@posix
def test_closed_standard_streams_do_no_harm(tmp_path: Path) -> None:
    """What emulators print to standard error must not go into the file that took its place."""
    program = f"{sys.executable} -m qcade"
    shell = (
        f"{program} games >&-; echo $? >codes; {program} games >/dev/full; echo $? >>codes; "
        f"{program} train pong {' '.join(SMALL)} --out run >&- 2>&-; echo $? >>codes"
    )
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True)
    codes = (tmp_path / "codes").read_text().split()
    assert codes[0] == "1"
    assert codes[2] == "0"
    assert "standard output: Bad file descriptor" in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "Traceback" not in done.stderr
    json.loads((tmp_path / "run" / "lock").read_text())
    if Path("/dev/full").exists():
        assert codes[1] == "1"
        assert "standard output: No space left on device" in done.stderr


def test_a_stream_that_stands_in_gives_way_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before, stream = io.TextIOWrapper(io.BytesIO(), "ascii"), StandardStream("stdout")
    monkeypatch.setattr(sys, "stdout", before)
    with stream.in_place():
        print("é", end="")
        assert sys.stdout.buffer is before.buffer
        PlainConsole(stream).print("[b]")
    assert sys.stdout is before
    assert before.buffer.getvalue() == b"\\xe9[b]\n"
    monkeypatch.setattr(sys, "stdout", None)
    with stream.in_place():
        print("nobody reads this")
        assert stream.failure is not None
    with stream.in_place():
        assert stream.failure is None


@posix
@pytest.mark.parametrize("module", ["qcade.cli.standard_streams", "rich.console", "torch._C"])
def test_an_interrupt_while_modules_load_ends_at_once(module: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "qcade", "train", *SMALL_CATCH],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # Python names every module as soon as it is loaded.
    while (line := process.stderr.readline()).split("|")[-1].strip() != module:
        assert line, "the module was never loaded"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "qcade: quit before anything was started" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
