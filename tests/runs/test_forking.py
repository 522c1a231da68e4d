"""A fork begins where its parent was, and goes its own way from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qcade.runs.checkpoint import load_checkpoint
from qcade.runs.reading.checkpoints import list_checkpoints

from command import qcade

PARENT = (
    "catch --frames 640 --updates.start-frames 200 --replay.capacity 2000 "
    "--checkpoints.period-frames 320 --compute.threads 1"
).split()


def test_forks_keep_the_past_record_their_lineage_and_leave_the_parent_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = tmp_path / "parent"
    assert qcade(["train", *PARENT, "--out", str(parent)], capsys).code == 0
    before = {p: p.read_bytes() for p in parent.rglob("*") if p.is_file()}

    # Nothing changed: the fork is the parent all over again.
    same = qcade(f"fork {parent} --at 320", capsys)
    assert same.code == 0, same.err
    twin = tmp_path / "parent-fork-1"
    for file in ("tape.bin", "tape.index"):
        assert (twin / file).read_bytes() == (parent / file).read_bytes()
    weights = [
        (list_checkpoints(run / "checkpoints")[-1] / "model.safetensors").read_bytes()
        for run in (parent, twin)
    ]
    assert weights[0] == weights[1]

    changed = qcade(
        f"fork {parent} --at 320 --optimizer.learning-rate 5e-5 --out {tmp_path}/slow", capsys
    )
    assert changed.code == 0, changed.err
    lineage = json.loads((tmp_path / "slow" / "lineage.json").read_text())
    assert lineage["at_frames"] == 320
    assert lineage["parent"] == str(parent)
    assert lineage["changed"] == ["optimizer.learning_rate: 0.0005 -> 5e-05"]
    start = (parent / "metrics.jsonl").read_bytes()
    _, state = load_checkpoint(list_checkpoints(parent / "checkpoints")[0])
    length = state.metrics.length_bytes
    assert (tmp_path / "slow" / "metrics.jsonl").read_bytes()[:length] == start[:length]
    slow = list_checkpoints(tmp_path / "slow" / "checkpoints")[-1]
    assert slow.name == "000000000640"
    assert (slow / "model.safetensors").read_bytes() != weights[0]
    assert before == {p: p.read_bytes() for p in parent.rglob("*") if p.is_file()}


def test_forks_that_cannot_be_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = tmp_path / "parent"
    assert qcade(["train", *PARENT, "--frames", "320", "--out", str(parent)], capsys).code == 0
    for words, sentence in (
        (f"fork {parent} --at 7", 'no checkpoint "7": use newest, best or one of 320'),
        (f"fork {parent} --algorithm.streams.hidden 64", "do not fit the changed recipe"),
        (f"fork {parent} --out {parent}", "already exists"),
        (f"fork {parent} --replay.gamma 2", "replay.gamma is 2.0; it must be from 0 to 1"),
        (f"fork {tmp_path}/nothing", "there is no run at"),
        ("fork --at 320", "put the run first"),
    ):
        answer = qcade(words, capsys)
        assert answer.code == 2
        assert sentence in answer.err
    assert [p.name for p in tmp_path.iterdir()] == ["parent"]


def test_a_fork_from_a_checkpoint_whose_frames_are_gone_starts_with_an_empty_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = tmp_path / "parent"
    words = ["train", *PARENT, "--replay-checkpoint", "frames", "--out", str(parent)]
    assert qcade(words, capsys).code == 0
    # As where newer checkpoints need them no longer.
    _, state = load_checkpoint(list_checkpoints(parent / "checkpoints")[0])
    assert state.stored_frames
    for name in state.stored_frames:
        (parent / "replay" / name).unlink()
    monkeypatch.chdir(parent)
    answer = qcade("fork . --at 320 --frames 480", capsys)
    assert answer.code == 0, answer.err
    assert "The replay memory starts empty" in " ".join(answer.out.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parent", "parent-fork-1"]
    newest = list_checkpoints(tmp_path / "parent-fork-1" / "checkpoints")[-1]
    assert newest.name == "000000000480"


def test_a_fork_may_have_a_larger_memory_of_a_game_that_cannot_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent, fork = tmp_path / "parent", tmp_path / "fork"
    words = (
        "train --env-id ALE/Pong-v5 --game.frame-skip 1 --frames 300 --updates.start-frames 100 "
        "--environments 2 --replay.capacity 200 --compute.threads 1 --algorithm.streams.hidden 8 "
        f"--out {parent}"
    )
    assert qcade(words, capsys).code == 0
    answer = qcade(f"fork {parent} --replay.capacity 280 --frames 420 --out {fork}", capsys)
    assert answer.code == 0, answer.err
    updates = []
    for run in (parent, fork):
        newest = list_checkpoints(run / "checkpoints")[-1]
        updates.append(json.loads((newest / "state.json").read_text())["counters"]["updates"])
    # The memory is full, so learning goes on at once.
    assert updates[1] - updates[0] == (420 - 300) / 4


def test_a_fork_may_store_frames_that_its_parent_did_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent, fork = tmp_path / "parent", tmp_path / "fork"
    words = ["train", *PARENT, "--replay.capacity", "400", "--out", str(parent)]
    assert qcade(words, capsys).code == 0
    # The tape brings the memory back; from then on all of it is stored.
    words = ["fork", str(parent), "--at", "320", "--checkpoints.replay", "frames"]
    answer = qcade([*words, "--out", str(fork)], capsys)
    assert (answer.code, "empty" in answer.out) == (0, False), answer.err
    for run in (parent, fork):
        answer = qcade(f"resume {run} --frames 960", capsys)
        assert answer.code == 0, answer.err
    one, other = (list_checkpoints(run / "checkpoints")[-1] for run in (parent, fork))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
