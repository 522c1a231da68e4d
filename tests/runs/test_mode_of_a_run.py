"""A run in a chosen mode and difficulty is resumed, verified, filmed and evaluated as any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qcade.cli.options import parse_train
from qcade.games.atari import Atari
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.runs.reading.run import open_run

from command import metrics_without_time, qcade

RUNS = {
    "fixed skip": (
        "pong --game.mode 1 --game.difficulty 1 --game.max-episode-frames 200 --environments 2 "
        "--frames 1280 --updates.start-frames 960 --replay.capacity 800 "
        "--checkpoints.period-frames 1000 --compute.threads 1"
    ),
    "random skip": (
        "breakout --recipe tutorial --game.mode 12 --game.difficulty 1 "
        "--game.max-episode-decisions 50 --frames 480 --updates.start-frames 450 "
        "--replay.capacity 320 --checkpoints.period-frames 390 --compute.threads 1 "
        "--torso.strides 8 3 3"
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_it_continues_exactly_and_can_be_verified_and_filmed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    answer = qcade(f"train {RUNS[name]} --out {whole}", capsys)
    assert answer.code == 0, answer.err
    shutil.copytree(whole, parted)
    shutil.rmtree(list_checkpoints(parted / "checkpoints")[-1])
    answer = qcade(f"resume {parted}", capsys)
    assert answer.code == 0, answer.err
    for file in ("tape.bin", "tape.index"):
        assert (parted / file).read_bytes() == (whole / file).read_bytes(), file
    assert metrics_without_time(parted) == metrics_without_time(whole)
    one, other = (list_checkpoints(run / "checkpoints")[-1] for run in (parted, whole))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    answer = qcade(f"verify {parted}", capsys)
    assert "every score was really played" in answer.out, answer.out
    answer = qcade(f"video {parted} --episode last", capsys)
    assert "as recorded" in answer.out, answer.err
    # The tape is of that mode: in the default one it leads to other frames.
    recipe = json.loads((parted / "recipe.json").read_text())
    recipe["game"] |= {"mode": None}
    (parted / "recipe.json").write_text(json.dumps(recipe))
    answer = qcade(f"resume {parted} --frames 2000", capsys)
    assert answer.code == 2
    assert "recorded with mode" in answer.err


def test_it_is_evaluated_in_its_own_mode_or_in_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = (
        "train pong --game.mode 1 --frames 200 --environments 2 --updates.start-frames 192 "
        f"--replay.capacity 200 --compute.threads 1 --game.max-episode-frames 40 --out {run}"
    )
    assert qcade(words, capsys).code == 0
    results = [
        json.loads(qcade(f"evaluate {run} --episodes 1 --json {more}", capsys).out)
        for more in ("", "--mode 0 --difficulty 2")
    ]
    protocols = [result["protocol"] for result in results]
    assert [protocol["mode"] for protocol in protocols] == [1, 0]
    assert [protocol.get("difficulty") for protocol in protocols] == [None, 2]
    # Those that these would be compared with played the default mode.
    assert [result["human_normalized"] for result in results] == [None, None]
    answer = qcade(f"evaluate {run} --episodes 1 --mode 5", capsys)
    assert answer.code == 2
    assert "use 0 or 1" in answer.err
    assert qcade(f"video {run} --seconds 1", capsys).code == 0


def test_a_mode_that_a_game_does_not_have_starts_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--game.mode 7", "--game.difficulty 4", "--recipe tutorial --game.mode 7"):
        answer = qcade(f"train pong {option} --out {tmp_path}/run", capsys)
        assert answer.code == 2
        assert "which this game does not have: use 0" in answer.err
        assert not (tmp_path / "run").exists()


def test_recipes_from_before_there_was_a_choice_still_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = json.loads(qcade("recipes dqn --json", capsys).out)
    for name in ("mode", "difficulty", "rom_md5"):
        del recipe["game"][name]
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    game = open_run(tmp_path).recipe().game
    assert game.protocol().keys().isdisjoint({"mode", "difficulty"})


def test_another_game_takes_no_mode_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = json.loads(qcade("recipes dqn --game breakout --json", capsys).out)
    recipe["game"] |= {"mode": 12, "difficulty": 1}
    (tmp_path / "mine.json").write_text(json.dumps(recipe))
    for game, modes in (("pong", (None, None)), ("Breakout", (12, 1))):
        _, made = parse_train([game, "--recipe", str(tmp_path / "mine.json")])
        assert isinstance(made.game, Atari)
        assert (made.game.mode, made.game.difficulty) == modes


def test_the_modes_of_a_game_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    answer = qcade("games Space-Invaders", capsys)
    assert answer.code == 0
    assert "--game.mode         0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15" in answer.out
    assert "--game.difficulty   0, 1 (default: 0)" in answer.out
    one = json.loads(qcade("games air-raid --json", capsys).out)
    assert (one["modes"], one["default_mode"]) == ([1, 2, 3, 4, 5, 6, 7, 8], 1)
    assert (one["difficulties"], one["default_difficulty"]) == ([0], 0)
    for game in ("pongg", "catch"):
        assert qcade(f"games {game}", capsys).code == 2
