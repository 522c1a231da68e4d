"""Environments that fail and updates that are not finite, in whole runs: what is saved and said."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import odd_environments  # noqa: F401
from qcade.cli.main import run_command
from qcade.games.catch import Catch, CatchEnvironments
from qcade.games.seeds import environment_seeds
from qcade.recipe import Compute, OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.recipe.as_json import to_json
from qcade.recipes import make_recipe
from qcade.runs.checkpoint import load_checkpoint
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.types import IntArray, TimeStep

from command import TINY_CATCH, Answer, metrics_without_time, qcade
from snapshots import tensors_of

ODD = (
    "--env-id odd_environments:Odd-v0 --game.height 84 --game.width 84 --frames 400 "
    "--updates.start-frames 100 --updates.period-decisions 40 --environments 2 "
    "--replay.capacity 300 --compute.threads 1 "
    "--checkpoints.period-frames 160"
).split()


def train_odd(fault: str, at: int, out: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    arguments = ["--game.arguments", f"fault={fault}", f"at={at}"]
    return qcade(["train", *ODD, *arguments, "--out", str(out)], capsys)


@pytest.mark.parametrize("fault", ["broken pipe", "no space", "system exit", "interrupt", "nan"])
def test_what_was_played_before_a_failure_is_saved(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    answer = train_odd(fault, 60, run, capsys)
    assert answer.code == 1
    [sentence] = [line for line in answer.err.splitlines() if line.startswith("qcade: ")]
    assert sentence.startswith("qcade: odd_environments:Odd-v0 ")
    assert "disk" not in sentence
    # Each of the two had made 59 steps, one of them when it was tried out, and opened an episode
    # after every five.
    newest = list_checkpoints(run / "checkpoints")[-1]
    frames = int(newest.name)
    assert frames == 2 * (58 + 11)
    assert f"at frame {frames:,}" in sentence
    assert f"qcade resume {run}" in sentence
    assert json.loads((run / "progress.json").read_text())["state"] == "interrupted"
    log = run / "environment-errors.log"
    if fault == "nan":
        assert "the reward is nan" in sentence
        assert not log.exists()
    else:
        assert str(log) in sentence
        assert "odd_environments.py" in log.read_text()
    # It fails at the same point again, after as many more frames.
    assert qcade(["resume", str(run)], capsys).code == 1
    assert int(list_checkpoints(run / "checkpoints")[-1].name) > frames
    load_checkpoint(list_checkpoints(run / "checkpoints")[-1])


def test_an_environment_that_fails_at_once_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fault in ("constructor", "reset raises", "float frames", "four values"):
        answer = train_odd(fault, 1, tmp_path / "run", capsys)
        assert answer.code == 1, answer
        assert "odd_environments:Odd-v0" in answer.err
        assert not (tmp_path / "run").exists()


def test_an_environment_that_cannot_be_closed_fails_after_all_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = train_odd("close late", 1, tmp_path / "run", capsys)
    assert answer.code == 1
    assert "raised RuntimeError in close: already closed, at frame 400" in answer.err
    assert [int(p.name) for p in list_checkpoints(tmp_path / "run" / "checkpoints")][-1] == 400


@pytest.mark.parametrize("fault", ["broken pipe", "nan"])
def test_evaluations_and_videos_of_failing_environments_are_one_sentence(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train_odd(fault, 10_000, run, capsys).code == 0
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["game"]["arguments"] = [f"fault={fault}", "at=3"]
    (run / "recipe.json").write_text(json.dumps(recipe))
    for words in ("evaluate --episodes 2", "video --seconds 2"):
        command, *options = words.split()
        answer = qcade([command, str(run), *options], capsys)
        assert answer.code == 1
        last = answer.err.strip().splitlines()[-1]
        assert last.startswith("qcade: odd_environments:Odd-v0 "), answer.err
    assert not list((run / "videos").glob("*"))


@dataclass(frozen=True)
class FragileCatch(Catch):
    """Catch that fails once, as a network or a device may: at row `at`, if `marker` is missing."""

    marker: str = ""
    at: int = 0

    def open(self, environments: int, seed: int, threads: int = 0) -> CatchEnvironments:
        return Fragile(environment_seeds(seed, environments), self)


class Fragile(CatchEnvironments):
    def __init__(self, seeds: IntArray, game: FragileCatch) -> None:
        super().__init__(seeds)
        self.game, self.rows = game, 0

    def recv(self) -> TimeStep:
        step = super().recv()
        self.rows += 1
        marker = Path(self.game.marker)
        if self.rows == self.game.at and not marker.exists():
            marker.touch()
            raise ConnectionResetError(104, "Connection reset by peer")
        return step


def fragile(name: str, marker: Path, at: int) -> Recipe:
    recipe = make_recipe(name, "catch")
    recipe = dataclasses.replace(
        recipe,
        game=FragileCatch(marker=str(marker), at=at),
        environments=4,
        total_frames=320,
        checkpoints=dataclasses.replace(recipe.checkpoints, period_frames=120),
        compute=Compute(device="cpu", precision="float32", threads=1),
    )
    if isinstance(recipe, ReplayRecipe):
        updates = dataclasses.replace(recipe.updates, start_frames=80, batch_size=4)
        return dataclasses.replace(recipe, updates=updates)
    assert isinstance(recipe, OnPolicyRecipe)
    rollouts = dataclasses.replace(recipe.rollouts, minibatches=4)
    return dataclasses.replace(recipe, rollouts=rollouts)


@pytest.mark.parametrize("name", ["dqn", "rainbow", "pqn", "sprint"])
def test_a_run_whose_game_failed_ends_like_one_whose_game_did_not(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recipe.json"
    ends = []
    for which, at in (("whole", 0), ("failed", 45)):
        file.write_text(json.dumps(to_json(fragile(name, tmp_path / "marker", at))))
        run = tmp_path / which
        words = ["train", "--recipe", str(file), "--out", str(run)]
        if at:
            assert qcade(words, capsys).code == 1
            assert "Connection reset" in (run / "environment-errors.log").read_text()
            snapshot, _ = load_checkpoint(list_checkpoints(run / "checkpoints")[-1])
            assert snapshot.counters.sent_actions is not None
            assert run_command(["verify", str(run)]) == 0
            words = ["resume", str(run)]
        assert qcade(words, capsys).code == 0
        snapshot, _ = load_checkpoint(list_checkpoints(run / "checkpoints")[-1])
        assert snapshot.counters.sent_actions is None
        ends.append((snapshot, (run / "tape.bin").read_bytes()[-2_000:], metrics_without_time(run)))
    (one, *rest), (other, *others) = ends
    assert one.counters == other.counters
    mine, theirs = tensors_of(one), tensors_of(other)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert rest == others


def test_a_run_whose_weights_grow_beyond_numbers_stops_and_keeps_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    explosive = ["--optimizer.learning-rate", "1e30", "--checkpoints.period-frames", "160"]
    answer = qcade(["train", *TINY_CATCH, *explosive, "--out", str(run)], capsys)
    assert answer.code == 1
    assert "Complete" not in answer.out
    [sentence] = answer.err.strip().splitlines()
    assert "not made" in sentence or "not finite" in sentence
    assert f"training of {run} stopped at frame" in sentence
    assert f"qcade fork {run} --optimizer.learning-rate" in sentence
    newest = list_checkpoints(run / "checkpoints")[-1]
    snapshot, _ = load_checkpoint(newest)
    for tensor in tensors_of(snapshot).values():
        assert not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
    for line in (run / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(word))
    answer = qcade(["evaluate", str(run), "--episodes", "2"], capsys)
    assert answer.code == 0


def test_a_checkpoint_without_numbers_is_played_by_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an earlier version wrote them."""
    from safetensors.torch import load_file, save_file

    from qcade.files.whole import sha256, write_json

    run = tmp_path / "run"
    assert qcade(["train", *TINY_CATCH, "--out", str(run)], capsys).code == 0
    for checkpoint in list_checkpoints(run / "checkpoints"):
        file = checkpoint / "model.safetensors"
        weights = load_file(file)
        next(iter(weights.values())).fill_(float("nan"))
        save_file(weights, file)
        sums = json.loads((checkpoint / "checksums.json").read_text())
        write_json(checkpoint / "checksums.json", {**sums, file.name: sha256(file)})
    for words in ("evaluate --episodes 2", "video --seconds 1", "resume --frames 1200"):
        command, *options = words.split()
        answer = qcade([command, str(run), *options], capsys)
        assert answer.code == 1, answer
        assert "holds values that are not finite numbers" in answer.err
        assert "Traceback" not in answer.err
