"""Runs of earlier versions open, verify, resume, evaluate, fork and film: tests/old_runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import qcade as package
from qcade.networks.q_network import build_q_network
from qcade.recipe.as_json import differences, from_json
from qcade.recipes import make_recipe
from qcade.runs.reading.checkpoints import list_checkpoints

import narrow_torso  # noqa: F401  (the runs name its class)
from command import qcade

OLD_RUNS = Path(__file__).parent.parent / "old_runs"
VERSION = "8f59885"
RUNS = ("bbf", "fork", "frames", "on-policy", "tape", "tutorial")


def read(name: str) -> Any:
    return json.loads((OLD_RUNS / VERSION / name).read_text())


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the run that the test names, which may be written to."""
    copy = tmp_path / str(request.param)
    shutil.copytree(OLD_RUNS / VERSION / str(request.param), copy)
    return copy


every_run = pytest.mark.parametrize("run", RUNS, indirect=True)


def test_every_run_is_here_and_small() -> None:
    folders = sorted(path.name for path in (OLD_RUNS / VERSION).iterdir() if path.is_dir())
    assert folders == sorted(RUNS)
    for name in RUNS:
        files = [path for path in (OLD_RUNS / VERSION / name).rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < 200_000, name


@every_run
def test_it_resumes_as_the_version_that_wrote_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = read("expected.json")[run.name]
    answer = qcade(f"resume {run} --frames {expected['frames']}", capsys)
    assert answer.code == 0, answer.err
    for file, checksum in expected["files"].items():
        assert hashlib.sha256((run / file).read_bytes()).hexdigest() == checksum, file
    newest = list_checkpoints(run / "checkpoints")[-1]
    assert newest.name == expected["checkpoint"]
    agent = package.load(run)
    weights = agent.network.state_dict()
    # Processors round differently, by some of the last bits an update.
    norms = {name: float(weight.norm()) for name, weight in weights.items()}
    assert norms == pytest.approx(expected["weight_norms"], rel=0.02, abs=1e-4)
    answer = qcade(f"verify {run}", capsys)
    assert "every score was really played" in answer.out, answer.out + answer.err
    answer = qcade(f"evaluate {run} --episodes 2 --epsilon 1 --json", capsys)
    assert json.loads(answer.out)["scores"] == expected["random_scores"]


@every_run
def test_it_is_listed_verified_and_filmed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = qcade(f"runs {run.parent} --json", capsys)
    [listed] = json.loads(answer.out)
    game = "catch" if run.name in ("bbf", "frames") else "pong"
    assert (listed["state"], listed["game"]) == ("finished", game)
    answer = qcade(f"verify {run}", capsys)
    assert "every score was really played" in answer.out, answer.out + answer.err
    answer = qcade(f"episodes {run} --json", capsys)
    assert len(json.loads(answer.out)) > 3
    answer = qcade(f"video {run} --episode last", capsys)
    assert "as recorded" in answer.out, answer.out + answer.err
    answer = qcade(f"video {run} --seconds 1", capsys)
    assert answer.code == 0, answer.err


@every_run
def test_it_can_be_forked(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = load_file(list_checkpoints(run / "checkpoints")[-1] / "model.safetensors")
    recipe = from_json(json.loads((run / "recipe.json").read_text()))
    frames = recipe.total_frames + 300
    fork = tmp_path / "forked"
    answer = qcade(f"fork {run} --out {fork} --frames {frames} --seed 7", capsys)
    assert answer.code == 0, answer.err
    assert (fork / "lineage.json").is_file()
    after = package.load(fork).network.state_dict()
    assert {name: weight.shape for name, weight in after.items()} == {
        name: weight.shape for name, weight in before.items()
    }
    assert qcade(f"verify {fork}", capsys).code == 0


@pytest.mark.parametrize("name", sorted(read("recipes.json")))
def test_a_recipe_of_an_earlier_version_is_the_present_one(name: str) -> None:
    """Its kinds are found under the names that they have now; a figure that changed is named."""
    old = from_json(read("recipes.json")[name])
    assert differences(old, make_recipe(name, "pong")) == []


@pytest.mark.parametrize("name", sorted(read("weight_names.json")))
def test_weights_have_the_names_that_they_are_saved_under(name: str) -> None:
    recipe = make_recipe(name, "pong")
    shape = (recipe.stack, *recipe.game.frame_shape)
    network = build_q_network(recipe.torso, recipe.algorithm, shape, 6, 0)
    found = {key: list(weight.shape) for key, weight in network.state_dict().items()}
    assert found == read("weight_names.json")[name]
