"""Reading a run while it grows: logs go on from where they were, and nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qcade.events import Episode, Evaluated
from qcade.runs.reading.checkpoints import list_checkpoints, read_state
from qcade.runs.reading.metrics import MetricsReader
from qcade.runs.reading.run import open_run
from qcade.types import QcadeError

import narrow_torso  # noqa: F401  (an old run names its class)
from command import TINY_CATCH, qcade

OLD_RUNS = Path(__file__).parent.parent / "old_runs" / "8f59885"
FIRST_LINE = b'{"event": "format", "format": 2}\n'


def episode_line(number: int, seconds: float) -> bytes:
    figures = {
        "episode": number,
        "environment": 0,
        "first_row": 7 * number,
        "length_decisions": 6,
        "score": -1.0,
        "frames_crc": 12,
        "frames": 100 * number,
        "epsilon": 0.5,
    }
    return json.dumps({"event": "episode", **figures, "seconds": seconds}).encode() + b"\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from qcade.cli.main import run_command

    path = tmp_path_factory.mktemp("runs") / "catch"
    words = ["train", *TINY_CATCH, "--evaluate-every", "400", "--evaluation.episodes", "2"]
    assert run_command([*words, "--out", str(path)]) == 0
    return path


def test_a_log_is_read_as_it_grows_and_a_torn_line_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    reader = MetricsReader(log)
    assert reader.read_new() == []
    first, second = episode_line(1, 1.0), episode_line(2, 2.5)
    log.write_bytes(FIRST_LINE + first + second[:40])
    [logged] = reader.read_new()
    assert isinstance(logged.event, Episode)
    assert (logged.event.episode, logged.event.frames, logged.seconds, logged.line) == (
        *(1, 100),
        *(1.0, 2),
    )
    assert reader.read_new() == []
    log.write_bytes(FIRST_LINE + first + second)
    [logged] = reader.read_new()
    assert isinstance(logged.event, Episode)
    assert (logged.event.episode, logged.line, reader.seconds) == (2, 3, 2.5)
    assert reader.problems == []


def test_a_log_that_was_cut_back_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(FIRST_LINE + b"".join(episode_line(n, n) for n in range(1, 6)))
    reader = MetricsReader(log)
    assert len(reader.read_new()) == 5
    log.write_bytes(FIRST_LINE + episode_line(1, 1.0))
    again = reader.read_new()
    assert [logged.line for logged in again] == [2]


def test_seconds_of_the_first_format_are_added_up_over_processes(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(b"".join(episode_line(1, s) for s in (1.0, 5.0, 2.0, 3.0, 0.5)))
    reader = MetricsReader(log)
    assert [logged.seconds for logged in reader.read_new()] == [1.0, 5.0, 7.0, 8.0, 8.5]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{\n", "metrics.jsonl, line 2"),
        (b'{"event": "episode", "score": 1}\n', "metrics.jsonl, line 2 does not hold"),
        (b'{"event": "updates", "frames": 1}\n', "metrics.jsonl, line 2 has no metrics"),
        (b'{"event": "evaluation", "frames": -1}\n', "frames is not a whole number"),
    ],
)
def test_a_line_that_no_version_wrote_is_a_problem_and_the_next_is_read(
    tmp_path: Path, line: bytes, problem: str
) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(FIRST_LINE + line + episode_line(1, 1.0))
    reader = MetricsReader(log)
    assert [logged.line for logged in reader.read_new()] == [3]
    [found] = reader.problems
    assert problem in found


def test_a_line_of_a_kind_that_is_not_known_is_no_problem(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(FIRST_LINE + b'{"event": "weather", "sun": true}\n')
    reader = MetricsReader(log)
    assert (reader.read_new(), reader.problems) == ([], [])


def test_a_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(b'{"event": "format", "format": 9}\n')
    with pytest.raises(QcadeError, match=r"newer qcade \(format 9; this one reads up to 2\)"):
        MetricsReader(log).read_new()


def test_everything_of_a_run_can_be_read_and_nothing_is_changed(run: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in run.rglob("*")}
    opened = open_run(run)
    kinds = [type(logged.event) for logged in opened.metrics().read_new()]
    assert kinds.count(Evaluated) == 2
    episodes = [
        logged.event for logged in opened.metrics().read_new() if isinstance(logged.event, Episode)
    ]
    tape = opened.tape()
    assert list(tape.episodes) == episodes
    assert opened.game() == opened.recipe().game
    states = [read_state(path) for path in list_checkpoints(opened.checkpoints)]
    assert [state.frames for state in states] == [640, 800]
    assert states[-1].counters.episodes == len(episodes)
    assert states[-1].seconds == pytest.approx(0.0, abs=1_000)
    assert opened.lineage() is None
    results = opened.evaluation_results()
    logged = [
        each.event for each in opened.metrics().read_new() if isinstance(each.event, Evaluated)
    ]
    assert [result.mean for result in results] == [event.mean for event in logged]
    assert [result.checkpoint_frames for result in results] == [400, 800]
    assert all(len(result.scores) == 2 and result.protocol["episodes"] == 2 for result in results)
    assert opened.weights("640").keys() == opened.weights().keys()
    assert opened.choose_checkpoint("640").name == "000000000640"
    after = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in run.rglob("*")}
    assert after == before


def test_seconds_count_the_time_of_all_processes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    before = open_run(copy).metrics()
    before.read_new()
    newest = list_checkpoints(copy / "checkpoints")[-1]
    saved = read_state(newest).seconds
    assert saved is not None
    assert saved >= before.seconds > 0
    assert qcade(f"resume {copy} --frames 1000", capsys).code == 0
    # Seconds never fall, although another process went on.
    seconds = [logged.seconds for logged in open_run(copy).metrics().read_new()]
    assert seconds == sorted(seconds)
    later = seconds[-1]
    assert later > saved


def test_a_run_of_an_older_version_has_the_seconds_of_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(OLD_RUNS / "frames", copy)
    reader = open_run(copy).metrics()
    reader.read_new()
    assert read_state(list_checkpoints(copy / "checkpoints")[-1]).seconds is None
    assert qcade(f"resume {copy} --frames 1100", capsys).code == 0
    new = read_state(list_checkpoints(copy / "checkpoints")[-1]).seconds
    assert new is not None
    assert new > reader.seconds > 0


@pytest.mark.parametrize("file", ["recipe.json", "state.json", "tape.bin", "lineage.json"])
def test_a_file_of_a_newer_version_is_refused_in_a_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run if file != "lineage.json" else OLD_RUNS / "fork", copy)
    newest = list_checkpoints(copy / "checkpoints")[-1]
    path = newest / file if file == "state.json" else copy / file
    if file == "tape.bin":
        content = path.read_bytes().replace(b'"format": 1', b'"format": 7')
        path.write_bytes(content)
    else:
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "format": 7}))
    if file == "lineage.json":
        with pytest.raises(QcadeError, match=r"newer qcade \(format 7"):
            open_run(copy).lineage()
        return
    if file == "state.json":
        with pytest.raises(QcadeError, match=r"newer qcade \(format 7"):
            read_state(newest)
        return
    answer = qcade(f"episodes {copy}", capsys)
    assert answer.code == 2
    assert "was written by a newer qcade (format 7; this one reads up to" in answer.err
