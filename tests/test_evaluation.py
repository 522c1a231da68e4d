"""Evaluations: how games end, who plays, and evaluations while an agent trains."""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import odd_environments  # noqa: F401
from qcade.games.atari import Atari
from qcade.games.catch import Catch
from qcade.games.gymnasium import CAP_FRAMES, GymnasiumGame
from qcade.play.evaluation import (
    EvaluationProgress,
    Watcher,
    evaluate,
    evaluation_game,
    random_player,
)
from qcade.runs.checkpoint import load_checkpoint
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.tape.format import read_tape

from command import TINY_CATCH, metrics_without_time, qcade
from snapshots import tensors_of

SHAPE = (4, 84, 84)


def odd(*arguments: str, decisions: int | None = None) -> GymnasiumGame:
    return GymnasiumGame(
        "odd_environments:Odd-v0", 84, 84, max_episode_decisions=decisions, arguments=arguments
    )


def test_games_that_are_cut_are_not_called_whole() -> None:
    player = random_player(SHAPE, 3, 1, seed=0)
    never = evaluate(player, odd("fault=never ends", decisions=7), 3, seed=0)
    assert [(g.score, g.length_decisions, g.ending) for g in never.games] == [(7, 7, "cut")] * 3
    whole = evaluate(player, odd(decisions=5), 3, seed=0)
    assert [g.ending for g in whole.games] == ["whole"] * 3
    result = never.to_json()
    assert (result["episodes"], result["whole"], result["cut"], result["stuck"]) == (3, 0, 3, 0)
    assert result["endings"] == ["cut"] * 3


@pytest.mark.parametrize(
    ("fault", "decisions", "ending"),
    [
        ("no points", 180, "stuck"),
        ("no points", 179, "cut"),
        ("never ends", 180, "cut"),
    ],
)
def test_a_cut_game_without_points_for_five_minutes_is_stuck(
    fault: str, decisions: int, ending: str
) -> None:
    game = GymnasiumGame(
        "odd_environments:Odd-v0",
        2,
        2,
        frame_skip=100,
        max_episode_decisions=decisions,
        arguments=(f"fault={fault}", "length=1000000", "at=1"),
    )
    evaluation = evaluate(random_player((1, 2, 2), 3, 1, seed=0), game, 1, seed=0)
    assert [g.ending for g in evaluation.games] == [ending]


def test_a_lost_life_is_no_end() -> None:
    """Breakout's discount is 0 at each of five lives; only the last ends a game."""
    game = Atari("breakout", max_episode_frames=320, noop_max=0)
    evaluation = evaluate(random_player(SHAPE, 4, 2, seed=1), game, 2, seed=3)
    assert [g.ending for g in evaluation.games] == ["cut", "cut"]
    assert [g.length_decisions for g in evaluation.games] == [80, 80]
    assert evaluation.protocol["life_loss_terminal"] is True


def test_where_nothing_ends_a_game_half_an_hour_does() -> None:
    assert evaluation_game(odd(), {}) == odd(decisions=CAP_FRAMES)
    assert evaluation_game(odd(decisions=9), {}) == odd(decisions=9)
    capped = evaluation_game(odd(), {"max_episode_frames": 50})
    assert capped == odd(decisions=50)
    assert capped.protocol()["max_episode_decisions"] == 50
    assert evaluation_game(Catch(), {}) == Catch()
    assert evaluation_game(Atari("pong"), {"max_episode_frames": 50}) == Atari(
        "pong", max_episode_frames=50
    )


def test_whoever_watches_may_end_an_evaluation() -> None:
    def stop(progress: EvaluationProgress) -> None:
        if progress.decisions >= 12:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        evaluate(random_player(SHAPE, 3, 1, seed=0), odd("fault=never ends"), 3, 0, Watcher(stop))


def test_a_random_player_plays_every_action_alike() -> None:
    player = random_player(SHAPE, 4, 1, seed=2)
    actions = np.concatenate([player.act(torch.zeros(50, 1)) for _ in range(80)])
    counts = np.bincount(actions, minlength=4)
    # Four standard deviations of a binomial of 4,000 draws at 1/4.
    assert np.abs(counts - 1_000).max() < 110


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from qcade.cli.main import run_command

    path = tmp_path_factory.mktemp("runs") / "run"
    assert run_command(["train", *TINY_CATCH, "--out", str(path)]) == 0
    return path


def test_the_command_says_how_games_ended_and_who_played(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = qcade(f"evaluate {run} --episodes 4 --player random --json", capsys)
    result = json.loads(answer.out)
    assert result["protocol"]["player"] == "random"
    assert result["protocol"]["epsilon"] == 1.0
    assert (result["whole"], result["cut"]) == (4, 0)
    tape = read_tape(next((run / "evaluations").glob("random-*")))
    assert len(tape.episodes) == 4
    answer = qcade(f"evaluate {run} --episodes 4", capsys)
    assert "over 4 whole games" in answer.out
    assert "player" not in answer.out


def test_cut_games_are_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "train --env-id odd_environments:Odd-v0 --frames 40 --updates.start-frames 20 "
        "--environments 2 --replay.capacity 60 --compute.threads 1 --game.arguments length=9 "
        f"--out {tmp_path}/run"
    )
    assert qcade(words, capsys).code == 0
    answer = qcade(f"evaluate {tmp_path}/run --episodes 3 --max-episode-frames 4", capsys)
    assert "over 0 whole games and 3 that were cut" in answer.out
    assert answer.code == 0
    answer = qcade(f"evaluate {tmp_path}/run --episodes 3", capsys)
    assert "over 3 whole games" in answer.out


def test_an_evaluation_while_training_changes_no_bit_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`btr` has layers whose forward pass changes what they keep, `rainbow` draws noise."""
    small = (
        "--compute.threads 1 --updates.start-frames 60 --total-frames 240 --updates.batch-size 4"
    )
    for recipe in ("btr", "rainbow"):
        ends = []
        for name, more in (("plain", []), ("judged", ["--evaluate-every", "100"])):
            path = tmp_path / f"{recipe}-{name}"
            words = ["train", "catch", "--recipe", recipe, *small.split(), *more]
            words += ["--evaluation.episodes", "3", "--out", str(path)]
            answer = qcade(words, capsys)
            assert answer.code == 0, answer.err
            ends.append(load_checkpoint(list_checkpoints(path / "checkpoints")[-1])[0])
        plain, judged = ends
        mine, theirs = tensors_of(plain), tensors_of(judged)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
        assert plain.counters == judged.counters
        metrics = [json.loads(line) for line in metrics_without_time(path)]
        found = [line for line in metrics if line["event"] == "evaluation"]
        assert [line["frames"] for line in found] == [104, 200] or [
            line["frames"] // 100 for line in found
        ] == [1, 2]
        assert [line["episodes"] for line in found] == [3, 3]
        results = sorted((path / "evaluations").glob("*/result.json"))
        assert [json.loads(r.read_text())["mean"] for r in results] == [
            line["mean"] for line in found
        ]
        assert json.loads(results[0].read_text())["protocol"]["epsilon"] == 0.001
        others = [line for line in metrics if line["event"] != "evaluation"]
        assert others == [
            json.loads(line) for line in metrics_without_time(tmp_path / f"{recipe}-plain")
        ]


def test_all_checkpoints_can_be_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", *TINY_CATCH, "--checkpoints.period-frames", "160"]
    words += ["--updates.period-decisions", "80"]
    for keep, wanted in (("few", {640, 800}), ("all", {160, 320, 480, 640, 800})):
        path = tmp_path / keep
        assert qcade([*words, "--checkpoints.keep", keep, "--out", str(path)], capsys).code == 0
        found = {int(p.name) for p in list_checkpoints(path / "checkpoints")}
        assert wanted <= found
        assert len(found) <= len(wanted) + 1


@pytest.mark.parametrize("fault", ["seed", ""])
def test_a_film_is_of_the_game_that_was_played(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An environment that ignores its seed is filmed while it is played, and never again."""
    import av

    words = (
        "train --env-id odd_environments:Odd-v0 --frames 40 --updates.start-frames 20 "
        f"--environments 2 --replay.capacity 60 --compute.threads 1 --out {tmp_path}/run"
    ).split()
    assert qcade([*words, "--game.arguments", f"fault={fault}"], capsys).code == 0
    file = tmp_path / "film.mp4"
    answer = qcade(f"video {tmp_path}/run --out {file} --no-overlay", capsys)
    assert answer.code == 0, answer.err
    assert "score 5" in answer.out
    with warnings.catch_warnings(), av.open(str(file)) as container:
        levels = [float(f.to_ndarray(format="rgb24").mean()) for f in container.decode(video=0)]
    # One game: its levels rise by one a step from wherever it began.
    assert len(levels) == 5
    assert all(0 <= after - before <= 2.5 for before, after in itertools.pairwise(levels))
