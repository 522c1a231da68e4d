"""Leaving runs and coming back to them: real processes, killed, stopped and taken up again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from qcade.runs.checkpoint import load_checkpoint
from qcade.runs.lock import hold, holder
from qcade.runs.progress_file import ProgressFile, starting
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.runs.reading.scores import RecentScores
from qcade.runs.reading.status import RunState, find_runs, status
from qcade.runs.stopping import StopRequest, stop_requests
from qcade.types import QcadeError

from command import TINY_CATCH, Answer, Process, qcade, start_qcade

QUICK_CATCH = [*TINY_CATCH, "--updates.period-decisions", "80"]
LONG_CATCH = [*QUICK_CATCH, "--frames", "4000000"]

posix = pytest.mark.skipif(os.name == "nt", reason="signals of Windows differ")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder; whatever still trains below it at the end is killed."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for run in find_runs(tmp_path):
        found = holder(run)
        if found is not None:
            kill(found.pid, run)


def wait_until(what: Callable[[], bool], process: Process | None = None) -> None:
    for _ in range(600):
        if what():
            return
        if process is not None and process.poll() is not None:
            pytest.fail(f"the process ended: {process.communicate()}")
        time.sleep(0.1)
    pytest.fail("nothing happened for a minute")


def kill(pid: int, run: Path) -> None:
    psutil.Process(pid).kill()
    wait_until(lambda: holder(run) is None)


def detach(words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    answer = qcade([*words, "--detach"], capsys)
    assert (answer.code, answer.err) == (0, "")
    return int(answer.out.split("as process ")[1].split(";")[0])


def states(answer: Answer) -> dict[str, RunState]:
    assert (answer.code, answer.err) == (0, "")
    return {Path(run["path"]).name: run["state"] for run in json.loads(answer.out)}


def has_checkpoint(run: Path) -> bool:
    return bool(list_checkpoints(run / "checkpoints"))


@posix
def test_runs_are_left_stopped_killed_and_taken_up_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped, killed = Path("runs/stopped"), Path("runs/killed")

    pid = detach(["train", *LONG_CATCH, "--out", str(stopped)], capsys)
    assert psutil.Process(pid).terminal() is None
    assert os.getsid(pid) == pid
    wait_until(lambda: has_checkpoint(stopped))
    answer = qcade(f"stop {stopped}", capsys)
    assert answer.code == 0
    saved = list_checkpoints(stopped / "checkpoints")[-1]
    assert f"it stopped at {int(saved.name):,} of 4,000,000 frames" in answer.out
    load_checkpoint(saved)
    assert "Stopped and saved at frame" in (stopped / "output.log").read_text()

    pid = detach(["train", *LONG_CATCH, "--out", str(killed)], capsys)
    wait_until(lambda: has_checkpoint(killed))
    kill(pid, killed)

    whole = ["train", *QUICK_CATCH, "--frames", "80", "--out", "runs/whole"]
    assert qcade(whole, capsys).code == 0

    expected = {"killed": "crashed", "stopped": "stopped", "whole": "finished"}
    assert states(qcade("runs --json", capsys)) == expected
    answer = qcade("resume --all", capsys)
    assert (answer.code, answer.err) == (0, "")
    assert "runs/stopped: left alone, stopped" in answer.out
    assert "runs/whole: left alone, finished" in answer.out
    assert "runs/killed: resumed as process" in answer.out
    assert states(qcade("runs --json", capsys)) == {**expected, "killed": "running"}
    table = qcade("runs", capsys).out.splitlines()
    assert [line.split()[:2] for line in table[1:]] == [
        ["runs/killed", "running"],
        ["runs/stopped", "stopped"],
        ["runs/whole", "finished"],
    ]
    # It went on with what it had, and so does the one that was stopped.
    left = list_checkpoints(killed / "checkpoints")[-1]
    wait_until(lambda: list_checkpoints(killed / "checkpoints")[-1].name > left.name)
    assert "resume" not in qcade(f"stop {killed}", capsys).err
    frames = int(saved.name)
    assert qcade(f"resume {stopped} --frames {frames + 80}", capsys).code == 0
    last, _ = load_checkpoint(list_checkpoints(stopped / "checkpoints")[-1])
    assert last.counters.decisions == frames + 80


@posix
def test_a_second_writer_is_refused_and_the_first_unharmed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = start_qcade(["train", *LONG_CATCH, "--out", "run"], folder)
    run = Path("run")
    wait_until(lambda: has_checkpoint(run), first)
    before = {p: p.read_bytes() for p in (run / "lock", run / "recipe.json")}
    for words in ("resume run", "resume run --detach", "resume run --frames 5000000"):
        answer = qcade(words, capsys)
        assert answer.code == 2
        assert f"run is being written by process {first.pid} (host " in answer.err
        assert "`qcade attach run`, or stop it with `qcade stop run`" in answer.err
    assert before == {p: p.read_bytes() for p in before}
    assert not (run / "output.log").exists()
    frames = status(run).frames
    wait_until(lambda: status(run).frames > frames, first)

    viewer = start_qcade(["attach", "run"], folder)
    assert viewer.stdout is not None
    assert "frames" in viewer.stdout.readline()
    viewer.send_signal(signal.SIGINT)
    out, err = viewer.communicate(timeout=60)
    assert (viewer.returncode, err) == (0, "")
    assert "Left; the run continues" in out

    assert status(run).state == "running"
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=60)
    assert (first.returncode, err) == (75, "")
    # A shutdown saves the run, but nobody wished it to end.
    assert status(run).state == "crashed"


@posix
def test_attach_returns_when_the_run_ends(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detach(["train", *TINY_CATCH, "--out", "run"], capsys)
    answer = qcade("attach run", capsys)
    assert answer.code == 0
    first, *_, last = answer.out.splitlines()
    assert " frames" in first
    assert last.startswith("run: it is finished (800 of 800 frames)")
    assert "Complete: 800 frames in run." in (folder / "run" / "output.log").read_text()
    assert "complete" in qcade("resume run --detach", capsys).out


def test_a_run_that_cannot_start_in_the_background_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qcade(["train", *QUICK_CATCH, "--out", "run"], capsys).code == 0
    recipe = (folder / "run" / "recipe.json").read_text()
    longer = recipe.replace('"total_frames": 800', '"total_frames": 8000')
    (folder / "run" / "recipe.json").write_text(
        longer.replace('"kind": "catch"', '"kind": "nowhere"')
    )
    answer = qcade("resume --all .", capsys)
    assert answer.code == 2
    assert "not resumed" in answer.err
    assert '"nowhere"' in answer.err or "'nowhere'" in answer.err
    assert status(Path("run")).state == "crashed"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("stop run", "run is not running: it crashed at 0 of 6,000 frames"),
        ("stop missing", "there is no run at missing"),
        ("attach .", ". is not a run"),
        ("runs missing", "there is no folder missing"),
        ("resume", "which run?"),
        ("resume --all --frames 5", "--frames is for one run"),
        ("resume --all --fresh-memory", "--fresh-memory is for one run"),
        ("stop odd", "total_frames is not a whole number"),
        ("resume missing --detach", "there is no run at missing"),
        ("train pongg --detach", 'unknown game "pongg"'),
    ],
)
def test_bad_input_is_explained(
    words: str, sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = qcade("recipes catch --game catch --json", capsys).out
    (folder / "run").mkdir()
    (folder / "run" / "recipe.json").write_text(recipe)
    (folder / "odd").mkdir()
    (folder / "odd" / "recipe.json").write_text('{"total_frames": 1e7}')
    answer = qcade(words, capsys)
    assert answer.code == 2
    assert sentence in answer.err
    assert [p.name for p in (folder / "run").iterdir()] == ["recipe.json"]


def test_a_run_of_another_host_is_stopped_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder / "run"
    run.mkdir()
    (run / "recipe.json").write_text("{}")
    with hold(run):
        content = json.loads((run / "lock").read_text())
        with open(run / "lock", "r+") as file:
            file.write(json.dumps({**content, "host": "elsewhere"}))
        answer = qcade("stop run", capsys)
    assert answer.code == 2
    assert "(host elsewhere): use `qcade stop` on that host" in answer.err
    assert not (run / "stop-request").exists()


def test_the_lock_is_free_again_and_does_not_take_old_requests(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    (tmp_path / "stop-request").touch()
    with hold(tmp_path), stop_requests(tmp_path) as stop:
        found = holder(tmp_path)
        assert found is not None
        assert (found.pid, found.is_here) == (os.getpid(), True)
        assert not stop.made
        with pytest.raises(QcadeError, match="is being written by process"), hold(tmp_path):
            pass
        assert holder(tmp_path) == found
    assert holder(tmp_path) is None
    with hold(tmp_path):
        pass


@pytest.mark.parametrize(
    ("frames", "notice", "state"),
    [
        (8, ["SIGINT"], "stopped"),
        (8, ["SIGTERM"], "interrupted"),
        # Whatever else a shutdown sends after its first notice.
        (8, ["SIGTERM", "SIGTERM"], "interrupted"),
        (8, ["SIGTERM", "SIGHUP"], "interrupted"),
        (8, ["SIGHUP"], "interrupted"),
        (8, ["SIGINT", "SIGTERM"], "stopped"),
        (100, [], "finished"),
    ],
)
def test_how_a_run_ended_is_told_apart(
    frames: int, notice: list[str], state: str, tmp_path: Path
) -> None:
    file = tmp_path / "progress.json"
    with stop_requests(tmp_path) as stop:
        progress = ProgressFile(file, 100, frames, RecentScores(), stop)
        for name in notice:
            if not hasattr(signal, name):
                pytest.skip(f"there is no {name} here")
            signal.raise_signal(getattr(signal, name))
        progress.close()
    assert json.loads(file.read_text())["state"] == state


def test_a_run_that_is_being_brought_back_is_no_longer_stopped(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    stopped = {"state": "stopped", "frames": 8, "frames_per_second": 99.0, "mean_score": 3.0}
    file.write_text(json.dumps(stopped))
    with starting(tmp_path, StopRequest(tmp_path)):
        now = json.loads(file.read_text())
    assert now == {**stopped, "state": "starting", "frames_per_second": None}
    with pytest.raises(QcadeError, match="no tape"), starting(tmp_path, StopRequest(tmp_path)):
        raise QcadeError("no tape")
    assert json.loads(file.read_text())["state"] == "starting"
    with pytest.raises(KeyboardInterrupt), starting(tmp_path, StopRequest(tmp_path)):
        raise KeyboardInterrupt
    assert json.loads(file.read_text())["state"] == "stopped"


@posix
def test_a_fork_without_its_parents_memory_trains_in_the_background(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qcade(["train", *QUICK_CATCH, "--out", "run"], capsys).code == 0
    words = ["fork", "run", "--environments", "4", "--frames", "4000000", "--out", "wider"]
    detach(words, capsys)
    wider = Path("wider")
    wait_until(lambda: len(list_checkpoints(wider / "checkpoints")) > 1)
    assert qcade("stop wider", capsys).code == 0
    # And so it does if it was killed before it had a checkpoint of its own.
    shutil.rmtree(wider / "checkpoints")
    shutil.copytree("run/checkpoints/000000000800", wider / "checkpoints" / "000000000800")
    answer = qcade("resume wider --detach", capsys)
    assert (answer.code, answer.err) == (0, "")
    wait_until(lambda: len(list_checkpoints(wider / "checkpoints")) > 1)


def test_what_keeps_a_run_from_going_on_is_said_before_it_is_in_the_background(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert qcade(["train", *QUICK_CATCH, "--out", "run"], capsys).code == 0
    recipe = folder / "run" / "recipe.json"
    recipe.write_text(recipe.read_text().replace('"total_frames": 800', '"total_frames": 8000'))
    (list_checkpoints(folder / "run" / "checkpoints")[-1] / "model.safetensors").write_bytes(b"")
    answer = qcade("resume run --detach", capsys)
    assert answer.code == 2
    assert "model.safetensors does not match its checksum" in answer.err


def test_an_error_is_no_wish_to_stop(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    with stop_requests(tmp_path) as stop:
        progress = ProgressFile(file, 100, 8, RecentScores(), stop)
        with pytest.raises(ValueError, match="wrong"), contextlib.closing(progress):
            raise ValueError("wrong")
    assert json.loads(file.read_text())["state"] == "interrupted"


def test_progress_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    with stop_requests(tmp_path) as stop:
        ProgressFile(tmp_path / "missing" / "p.json", 100, 8, RecentScores(), stop).close()
    assert list(tmp_path.iterdir()) == []
