"""What a person who types something wrong reads, and what is left on the disk."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from qcade.agent.resets import ShrinkAndPerturb
from qcade.cli.options import parse_train
from qcade.compute.hardware import available_memory_bytes
from qcade.games.gymnasium import GymnasiumGame
from qcade.recipe import Replay, ReplayRecipe
from qcade.recipe.as_json import flatten, to_json
from qcade.recipes import make_recipe, recipe_names
from qcade.recipes.dqn import dqn
from qcade.runs.requirements import predict_requirements, shrink_to_fit

from command import TINY_CATCH, qcade


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("trian pong", "did you mean train?"),
        ("train", "which game?"),
        ("train pongg", 'unknown game "pongg": did you mean pong'),
        ("train pong --recipe dqm", 'unknown recipe "dqm": did you mean dqn?'),
        ("train pong --recipe nowhere:mine", 'module "nowhere" cannot be imported'),
        ("train pong --recipe missing.json", "missing.json cannot be read as a recipe"),
        ("train pong --replay.capacty 5", "--replay.capacity"),
        ("train pong --replay.capacity many", "--replay.capacity"),
        ("train pong --replay.gamma 1.5", "replay.gamma is 1.5; it must be from 0 to 1"),
        ("train pong --environments 0", "environments is 0; it must be at least 1"),
        ("train pong --replay.capacity 100", "use at least 20,000"),
        ("train pong --compute.device tpu", 'unknown device "tpu"'),
        ("train pong --compute.device cuda:99", 'device "cuda:99" is not available'),
        ("train pong --game.height 20", "Nature cannot read 20x84 frames"),
        ("train pong --rom missing.bin", "no ROM file"),
        ("train --env-id CartPole-v1", "need single uint8 images"),
        ("train --env-id Nowhere-v0", 'Gymnasium knows no environment "Nowhere-v0"'),
        ("train pong --env-id Nowhere-v0", "play pong or --env-id Nowhere-v0?"),
        ("train pong --env_id=Nowhere-v0", "play pong or --env-id Nowhere-v0?"),
        ("train pong --recipe ./mine.py:f", 'module "./mine.py" cannot be imported'),
        (f"evaluate {'long' * 100}", "File name too long"),
        ("resume missing", "there is no run at missing"),
        ("evaluate missing", "there is no run at missing"),
        ("recipes rainbov", 'unknown recipe "rainbov"'),
    ],
)
def test_bad_input_is_explained_and_leaves_nothing_behind(
    words: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = qcade(words, capsys)
    assert answer.code == 2
    assert sentence in answer.err
    assert "Traceback" not in answer.err
    assert list(tmp_path.iterdir()) == []


def test_memory_that_does_not_fit_is_refused_with_the_number_that_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train pong --frames {10**13} --replay.capacity {10**12} --out {tmp_path}/d"
    answer = qcade(words, capsys)
    assert answer.code == 2
    assert "GB of memory (1,000,000,000,000 frames of 84x84, compressed)" in answer.err
    fits = int(answer.err.split("--replay.capacity ")[1].split()[0])
    assert 20_000 <= fits < 1_000_000_000
    assert not (tmp_path / "d").exists()


def test_a_memory_can_be_fitted_to_the_machine() -> None:
    recipe = dataclasses.replace(dqn("pong"), total_frames=10**10, replay=Replay(capacity=10**9))
    small = shrink_to_fit(recipe)
    assert isinstance(small, ReplayRecipe)
    assert predict_requirements(small).memory_bytes <= available_memory_bytes()
    doubled = dataclasses.replace(small, replay=Replay(capacity=small.replay.capacity * 2))
    assert predict_requirements(doubled).memory_bytes > available_memory_bytes() * 0.9
    unchanged = dataclasses.replace(recipe, replay=Replay(capacity=20_000))
    assert shrink_to_fit(unchanged) == unchanged


def test_a_folder_that_holds_something_else_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    answer = qcade(f"train pong --out {tmp_path}", capsys)
    assert answer.code == 2
    assert "holds something else (thesis.tex)" in answer.err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert qcade(["train", *TINY_CATCH, "--out", str(tmp_path / "d")], capsys).code == 0
    answer = qcade(["train", *TINY_CATCH, "--seed", "2", "--out", str(tmp_path / "d")], capsys)
    assert answer.code == 2
    assert "seed: 1 -> 2" in answer.err
    longer = [*TINY_CATCH, "--frames", "1600"]
    answer = qcade(["train", *longer, "--out", str(tmp_path / "d")], capsys)
    assert f"qcade resume {tmp_path}/d --frames 1600" in answer.err.replace("\n", "")


def test_damaged_checkpoints_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "d"
    assert qcade(["train", *TINY_CATCH, "--out", str(run)], capsys).code == 0
    newest = max((run / "checkpoints").iterdir())
    for name in ("model.safetensors", "optimizer.safetensors", "state.json", "checksums.json"):
        whole = (newest / name).read_bytes()
        (newest / name).write_bytes(whole[: len(whole) // 2])
        answer = qcade(f"resume {run} --frames 1000", capsys)
        assert answer.code == 2
        assert name in answer.err
        (newest / name).unlink()
        answer = qcade(f"evaluate {run}", capsys)
        assert answer.code == 2
        assert name in answer.err
        (newest / name).write_bytes(whole)
    shutil.rmtree(newest)
    assert qcade(f"resume {run}", capsys).code == 0
    assert max((run / "checkpoints").iterdir()) == newest


def test_the_same_command_again_says_that_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first = qcade(["train", *TINY_CATCH], capsys)
    assert "Complete: 800 frames in runs/catch-catch-1." in first.out
    again = qcade(["train", *TINY_CATCH], capsys)
    assert again.code == 0
    assert "runs/catch-catch-1 is complete (800 frames)." in again.out
    assert qcade(["train", *TINY_CATCH, "--seed", "2"], capsys).code == 0
    run = tmp_path / "runs" / "catch-catch-1"
    assert sorted(p.name for p in run.iterdir()) == [
        "checkpoints",
        "lock",
        "metrics.jsonl",
        "progress.json",
        "provenance.json",
        "recipe.json",
        "tape.bin",
        "tape.index",
        "tensorboard",
    ]
    assert any((run / "tensorboard").iterdir())
    assert (tmp_path / "runs" / "catch-catch-2" / "recipe.json").exists()


def test_recipes_can_be_shown_edited_and_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = qcade("recipes", capsys).out
    assert all(name in listing for name in recipe_names())
    assert "--replay.capacity" in qcade("recipes dqn", capsys).out
    recipe = json.loads(qcade("recipes catch --game catch --json", capsys).out)
    assert recipe == to_json(make_recipe("catch", "catch"))
    recipe["total_frames"] = 16
    (tmp_path / "mine.json").write_text(json.dumps(recipe))
    answer = qcade(f"train --recipe {tmp_path}/mine.json --out {tmp_path}/d --seed 5", capsys)
    assert answer.code == 0
    written = json.loads((tmp_path / "d" / "recipe.json").read_text())
    assert (written["total_frames"], written["seed"]) == (16, 5)


@pytest.mark.parametrize("name", recipe_names())
def test_every_option_that_is_shown_of_a_recipe_can_be_given(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe(name, "pong")
    lines = [line.split() for line in qcade(f"recipes {name}", capsys).out.splitlines()[2:-2]]
    options = {words[0]: words[-1] for words in lines if words[-1].startswith("--")}
    figures = flatten(to_json(recipe))
    del figures["format"]
    assert [words[0] for words in lines] == [*figures]
    # Given with the very figures that the recipe has, they change nothing.
    words = ["pong", "--recipe", name]
    for path, option in options.items():
        value = figures[path]
        words += [option, *map(str, value if isinstance(value, list) else [value])]
    assert parse_train(words)[1] == recipe
    without = {path for path in figures if not path.endswith("kind")} - options.keys()
    assert without == figures.keys() & {"resets", "replay.horizon"}
    assert all(figures[path] is None for path in without)


def test_figures_of_a_part_that_may_be_missing_have_options_where_it_is_there() -> None:
    recipe = parse_train("pong --recipe bbf --resets.period-updates 7".split())[1]
    assert isinstance(recipe, ReplayRecipe)
    assert recipe.resets == ShrinkAndPerturb(7, last_update=160_000, torso_kept=0.5)


def test_the_overview_names_every_word_that_may_come_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    overview = qcade("--help", capsys).out
    for word in ("train", "resume", "fork", "attach", "stop", "--import", "--version"):
        assert f"  qcade {word} " in overview
    assert qcade("--version", capsys).out.startswith("qcade ")


def test_attach_and_stop_say_each_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    attach, stop = (qcade(f"{command} --help", capsys).out for command in ("attach", "stop"))
    assert "Watch a run" in attach
    assert "checkpoint" not in attach
    assert "save a checkpoint and stop" in stop
    assert "Watch" not in stop


def test_games_lists_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    listing = qcade("games", capsys).out.splitlines()
    assert len(listing) == 1 + 1 + 104
    assert any("space-invaders" in line and "ALE/SpaceInvaders-v5" in line for line in listing)


def test_a_gymnasium_id_is_played_by_a_recipe_of_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(to_json(dqn("pong"))))
    _, recipe = parse_train(["--recipe", str(file), "--env-id", "ALE/Breakout-v5"])
    assert recipe.game == GymnasiumGame("ALE/Breakout-v5", frame_skip=4)
    file.write_text(json.dumps(to_json(dataclasses.replace(recipe, stack=3))))
    _, again = parse_train(["--recipe", str(file), "--env-id", "ALE/Assault-v5"])
    assert (again.game, again.stack) == (GymnasiumGame("ALE/Assault-v5", frame_skip=4), 3)
