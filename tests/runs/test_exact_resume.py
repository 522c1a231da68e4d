"""A run that is killed and resumed ends as if nothing had happened, to the last bit."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import pytest

from qcade.play import session
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.tape.format import read_tape

from command import metrics_without_time, qcade, start_qcade

# Reseeding is rare, so a run must be long to see it; small steps make the kills hit everything.
RUNS = {
    "catch": (
        "catch --frames 1200 --updates.start-frames 200 --replay.capacity 400 "
        "--checkpoints.period-frames 160 --replay.n-step 3 --compute.threads 1 "
        "--updates.period-decisions 8"
    ),
    "pong": (
        "pong --environments 4 --frames 11200 --updates.start-frames 8000 --replay.capacity 2100 "
        "--checkpoints.period-frames 1600 --replay.n-step 3 --compute.threads 1 "
        "--updates.period-decisions 16"
    ),
    "pong, frames": (
        "pong --environments 4 --frames 11200 --updates.start-frames 8000 --replay.capacity 2100 "
        "--checkpoints.period-frames 1600 --replay-checkpoint frames --compute.threads 1 "
        "--updates.period-decisions 16 "
        "--replay.storage compressed"
    ),
    "tutorial": (
        "breakout --recipe tutorial --frames 1500 --updates.start-frames 1300 "
        "--replay.capacity 610 --compute.threads 1 --torso.strides 8 3 3"
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_at_random_instants_ends_like_one_that_was_not(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", *RUNS[name].split(), "--out"]
    answer = qcade([*words, str(tmp_path / "whole")], capsys)
    assert answer.code == 0, answer.err
    chance = random.Random(name)
    kills = hits = 0
    run = tmp_path / "killed"
    # A start on Pong takes longest, so there are fewer.
    while kills < (2 if name.startswith("pong") else 3):
        process = start_qcade([*words, str(run)], tmp_path)
        checkpoints = len(list_checkpoints(run / "checkpoints"))
        for _ in range(600):
            found = list_checkpoints(run / "checkpoints")
            if len(found) > checkpoints or process.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(chance.random())
        process.kill()
        process.communicate()
        kills += 1
        hits += process.returncode != 0
    assert hits > 0
    answer = qcade([*words, str(run)], capsys)
    assert answer.code == 0, answer.err
    for file in ("tape.bin", "tape.index"):
        assert (run / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    metrics = metrics_without_time(run)
    assert metrics == metrics_without_time(tmp_path / "whole")
    # Means over updates that began before a kill and were told after it.
    assert any('"event": "updates"' in line for line in metrics) == name.startswith("pong")
    one, other = (list_checkpoints(r / "checkpoints")[-1] for r in (run, tmp_path / "whole"))
    assert one.name == other.name
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


def test_emulators_that_were_seeded_anew_at_different_rows_are_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The memory is of the last 36 rows; what leads there begins where the first emulator was
    # seeded, and until they are seeded themselves the others play something else.
    monkeypatch.setattr(session, "RESEED_PERIOD_ROWS", 200)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    words = (
        "train breakout --recipe sprint --environments 4 --rollouts.decisions 16 --frames 12800 "
        "--rollouts.minibatches 2 --rollouts.epochs 1 --checkpoints.period-frames 1600"
    )
    assert qcade(f"{words} --out {whole}", capsys).code == 0
    assert len({s.row for s in read_tape(whole).seedings}) >= 8
    shutil.copytree(whole, parted)
    shutil.rmtree(list_checkpoints(parted / "checkpoints")[-1])
    answer = qcade(f"resume {parted}", capsys)
    assert answer.code == 0, answer.err
    for file in ("tape.bin", "tape.index"):
        assert (parted / file).read_bytes() == (whole / file).read_bytes(), file
    one, other = (list_checkpoints(run / "checkpoints")[-1] for run in (parted, whole))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_a_tape_that_does_not_fit_is_refused_in_one_sentence_and_the_weights_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["train", *RUNS["catch"].split(), "--frames", "480", "--out", str(run)]
    assert qcade(words, capsys).code == 0
    tape, index = (run / "tape.bin").read_bytes(), (run / "tape.index").read_bytes()

    def refusal() -> str:
        answer = qcade(f"resume {run} --frames 640", capsys)
        assert answer.code == 2
        assert "--fresh-memory" in answer.err
        return answer.err

    (run / "tape.bin").write_bytes(tape[:-100])
    assert "tape.bin is cut off" in refusal()
    (run / "tape.bin").write_bytes(tape[:-50] + b"\2" + tape[-49:])
    assert "tape.bin was changed" in refusal()
    (run / "tape.bin").write_bytes(tape)
    (run / "tape.index").unlink()
    assert "tape.index is missing" in refusal()
    (run / "tape.index").write_bytes(index)

    checkpoint = list_checkpoints(run / "checkpoints")[-1]
    before = json.loads((checkpoint / "state.json").read_text())["counters"]
    answer = qcade(f"resume {run} --frames 960 --fresh-memory", capsys)
    assert answer.code == 0, answer.err
    assert (run / "tape.bin.aside-1").read_bytes() == tape
    # The new tape is as good as the old one was.
    answer = qcade(f"resume {run} --frames 1200", capsys)
    assert answer.code == 0, answer.err
    after = list_checkpoints(run / "checkpoints")[-1]
    counters = json.loads((after / "state.json").read_text())["counters"]
    assert counters["decisions"] == 1200
    assert counters["updates"] > before["updates"]


def test_a_run_whose_only_checkpoint_is_lost_begins_anew_and_loses_no_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert qcade(f"train catch --frames 160 --compute.threads 1 --out {run}", capsys).code == 0
    before = {n: (run / n).read_bytes() for n in ("tape.bin", "tape.index", "metrics.jsonl")}
    only = list_checkpoints(run / "checkpoints")[-1]
    (only / "model.safetensors").write_bytes(b"")
    answer = qcade(f"resume {run} --frames 240", capsys)
    assert answer.code == 2
    assert "there is no other, so train again from the beginning" in answer.err
    shutil.rmtree(only)
    answer = qcade(f"resume {run}", capsys)
    assert answer.code == 0, answer.err
    for name, content in before.items():
        assert f"for {name}: it was renamed to {name}.aside-1" in " ".join(answer.out.split())
        assert (run / f"{name}.aside-1").read_bytes() == content
    assert (run / "tape.bin").read_bytes() == before["tape.bin"]


def test_a_damaged_log_is_put_aside_and_a_new_one_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["train", *RUNS["catch"].split(), "--frames", "480", "--out", str(run)]
    assert qcade(words, capsys).code == 0
    whole = (run / "metrics.jsonl").read_bytes()
    for name, damaged in (("cut", whole[:-30]), ("changed", b"x" + whole[1:]), ("lost", None)):
        copy = tmp_path / name
        shutil.copytree(run, copy)
        (copy / "metrics.jsonl").unlink()
        if damaged is not None:
            (copy / "metrics.jsonl").write_bytes(damaged)
        answer = qcade(f"resume {copy} --frames 560", capsys)
        assert answer.code == 0, answer.err
        problem = "is missing" if damaged is None else "does not match the checkpoint"
        assert f"metrics.jsonl {problem}" in answer.out
        lines = (copy / "metrics.jsonl").read_text().splitlines()[1:]
        assert min(json.loads(line)["frames"] for line in lines) > 480
        if damaged is not None:
            assert (copy / "metrics.jsonl.aside-1").read_bytes() == damaged
        # The new log is continued like any other.
        answer = qcade(f"resume {copy} --frames 640", capsys)
        assert (answer.code, "aside" in answer.out) == (0, False)


def test_a_game_that_cannot_be_replayed_goes_on_with_its_memory_and_new_games(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = (
        "train --env-id ALE/Pong-v5 --game.frame-skip 1 --frames 300 --updates.start-frames 100 "
        "--environments 2 --replay.capacity 200 --checkpoints.period-frames 60 "
        f"--compute.threads 1 --out {run}"
    )
    assert qcade(words, capsys).code == 0
    assert not (run / "tape.bin").exists()
    before = json.loads((list_checkpoints(run / "checkpoints")[-1] / "state.json").read_text())
    answer = qcade(f"resume {run} --frames 420", capsys)
    assert answer.code == 0, answer.err
    assert "continuing with new games" in answer.out
    after = json.loads((list_checkpoints(run / "checkpoints")[-1] / "state.json").read_text())
    # The memory is full, so learning goes on at once.
    assert after["counters"]["updates"] - before["counters"]["updates"] == (420 - 300) / 4
    stored = list((run / "replay").iterdir())
    assert {path.name for path in stored} >= set(after["frames_files"])
    for path in stored:
        path.write_bytes(b"not frames")
    answer = qcade(f"resume {run} --frames 500", capsys)
    assert answer.code == 2
    assert "does not match the checkpoint's checksum" in answer.err


def test_a_game_that_cannot_be_replayed_begins_its_rollouts_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = (
        "train --env-id ALE/Pong-v5 --recipe pqn --game.frame-skip 1 --frames 72 "
        "--environments 2 --rollouts.epochs 1 "
        "--rollouts.decisions 8 --rollouts.minibatches 2 --compute.threads 1 "
        f"--algorithm.streams.hidden 8 --out {run}"
    )
    assert qcade(words, capsys).code == 0
    assert updates_of(run) == 4 * 2
    answer = qcade(f"resume {run} --frames 104", capsys)
    assert answer.code == 0, answer.err
    # Half of the fifth rollout is lost with its games; of two new ones, the first is learned from.
    assert updates_of(run) == (4 + 1) * 2


def updates_of(run: Path) -> int:
    newest = list_checkpoints(run / "checkpoints")[-1]
    return int(json.loads((newest / "state.json").read_text())["counters"]["updates"])
