"""Options: whole numbers as people type them, and those that mean the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qcade.cli.options import parse_fork, parse_train
from qcade.recipe import ReplayRecipe
from qcade.recipes import make_recipe
from qcade.runs.create import create_run
from qcade.runs.reading.run import Run

from command import qcade

SMALL_CATCH = (
    "catch --frames 16 --replay.capacity 2000 --updates.start-frames 200 --compute.threads 1"
).split()


def test_whole_numbers_of_recipes_may_be_typed_as_people_do() -> None:
    words = (
        "pong --recipe tutorial --frames 1.5M --replay.capacity 200k --updates.start-frames 1e5 "
        "--checkpoints.period-frames 1,000,000 --seed 1_000 --updates.batch-size +3_2 "
        "--game.frame-skip 2e0 5 --optimizer.learning-rate 1e-4"
    )
    options, recipe = parse_train(words.split())
    assert isinstance(recipe, ReplayRecipe)
    assert options.frames == recipe.total_frames == 1_500_000
    assert (recipe.replay.capacity, recipe.updates.start_frames) == (200_000, 100_000)
    assert (recipe.checkpoints.period_frames, recipe.seed) == (1_000_000, 1_000)
    assert recipe.updates.batch_size == 32
    assert getattr(recipe.game, "frame_skip") == (2, 5)  # noqa: B009
    assert getattr(recipe.optimizer, "learning_rate") == 1e-4  # noqa: B009


def test_a_seed_may_be_any_whole_number() -> None:
    assert parse_train(["pong", "--seed", str(10**40)])[1].seed == 10**40


def test_a_part_that_is_there_takes_none_for_what_may_be_none() -> None:
    words = "pong --game.max-episode-frames 10k --optimizer.max-gradient-norm None".split()
    recipe = parse_train(words)[1]
    assert getattr(recipe.game, "max_episode_frames") == 10_000  # noqa: B009
    assert recipe.optimizer.max_gradient_norm is None


@pytest.mark.parametrize(
    "words",
    [
        "train pong --frames",
        "train pong --replay.capacity",
        "train pong --seed",
        "resume run --frames",
        "fork run --frames",
        "evaluate run --episodes",
        "evaluate run --noop-max",
        "video run --seconds",
        "video run --seed",
        "episodes run --last",
    ],
)
@pytest.mark.parametrize("number", ["1.5", "1e-3", "1,5"])
def test_a_fraction_for_a_whole_number_is_refused(
    words: str,
    number: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    create_run(tmp_path / "run", make_recipe("catch", "catch"))
    answer = qcade(f"{words} {number}", capsys)
    assert answer.code == 2
    assert f'"{number}" is not a whole number' in " ".join(answer.err.replace("│", "").split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("evaluate run --seed -1", "--seed is -1; it must be at least 0"),
        ("evaluate run --seed 1e30", "--seed is"),
        ("evaluate run --epsilon nan", "--epsilon is nan"),
        ("evaluate run --epsilon inf", "--epsilon is inf"),
        ("evaluate run --episodes 1e20", "--episodes is"),
        ("video run --seed 1e30", "--seed is"),
        ("video run --epsilon nan", "--epsilon is nan"),
        ("video run --seconds 1e20", "--seconds is"),
        ("video run --episode all --seconds 0", "--seconds is 0"),
        ("video run --episode all --seconds 1e400", "--seconds is"),
        ("episodes run --last 0", "--last is 0; it must be at least 1"),
        ("episodes run --last 1e400", "--last is"),
        ("resume run --frames 0", "total_frames is 0; it must be at least 1"),
        ("resume run --frames 1e400", "total_frames is a whole number of about 401 digits"),
        ("train catch --frames -1", "total_frames is -1; it must be at least 1"),
        ("train catch --seed -1", "seed is -1"),
        ("train catch --optimizer.learning-rate inf", "optimizer.learning_rate is inf"),
        ("doctor --seconds inf", "--seconds is inf"),
    ],
)
def test_numbers_beyond_all_bounds_are_refused_by_name(
    words: str,
    sentence: str,
    small_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(small_run.parent)
    before = sorted(small_run.parent.rglob("*"))
    answer = qcade(words, capsys)
    assert answer.code == 2
    assert sentence in answer.err
    assert sorted(small_run.parent.rglob("*")) == before


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from qcade.cli.main import run_command

    path = tmp_path_factory.mktemp("small") / "run"
    assert run_command(["train", *SMALL_CATCH, "--out", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("pong --frames 800 --total-frames 900", "--frames is 800 and --total-frames is 900"),
        # Also where the value is what the recipe has anyway.
        ("pong --frames 800 --total-frames 10M", "--total-frames is 10000000"),
        ("pong --frames 800 --total_frames=900", "--total-frames is 900"),
        (
            "pong --replay-checkpoint tape --checkpoints.replay frames",
            "--replay-checkpoint is tape and --checkpoints.replay is frames",
        ),
        ("pong --rom a.bin --game.rom b.bin", "--game.rom is"),
        (
            "--env-id ALE/Pong-v5 --game.env-id ALE/Breakout-v5",
            "--env-id is ALE/Pong-v5 and --game.env-id is ALE/Breakout-v5",
        ),
        ("pong --game.game breakout", "the game is pong and --game.game is breakout"),
        ("pong --recipe tutorial --game.game breakout", "--game.game is breakout"),
        ("pong --evaluate-every 8 --evaluation.period-frames 9", "--evaluate-every is 8"),
    ],
)
def test_options_that_mean_the_same_must_agree(
    words: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = qcade(f"train {words}", capsys)
    assert answer.code == 2
    assert sentence in answer.err
    assert "leave one of them out" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_options_that_mean_the_same_may_agree() -> None:
    words = (
        "pong --frames 1k --total-frames 1000 --replay-checkpoint tape --checkpoints.replay tape "
        "--game.game Pong"
    )
    _, recipe = parse_train(words.split())
    assert (recipe.total_frames, recipe.checkpoints.replay) == (1_000, "tape")
    # What is typed last counts where it is the same option.
    assert (
        parse_train("pong --frames 5 --frames 800 --total-frames 800".split())[1]
        == (parse_train("pong --frames 800".split())[1])
    )


def test_a_fork_of_two_lengths_is_refused(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = qcade(f"fork {small_run} --frames 800 --total-frames 900", capsys)
    assert answer.code == 2
    assert "--frames is 800 and --total-frames is 900" in answer.err
    _, recipe = parse_fork([str(small_run), "--frames", "1k"], make_recipe("catch", "catch"))
    assert recipe.total_frames == 1_000


@pytest.mark.parametrize("words", ["", "--frames 16", "--total-frames 8", "--frames 1"])
def test_a_fork_that_would_be_over_before_it_begins_is_refused(
    words: str, small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = qcade(f"fork {small_run} {words}", capsys)
    assert answer.code == 2
    frames = words.split()[-1] if words else "16"
    assert f"is at frame 16, but the fork would end at frame {frames}" in answer.err
    assert "more than 16" in answer.err
    assert [path.name for path in small_run.parent.iterdir()] == ["run"]


def test_a_checkpoint_may_be_named_as_numbers_are_typed(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = qcade(f"evaluate {small_run} --checkpoint 1.6e1 --episodes 1 --json", capsys)
    assert json.loads(answer.out)["checkpoint_frames"] == 16


def test_a_run_that_never_had_a_checkpoint_may_change_its_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "run")
    create_run(run.path, parse_train([*SMALL_CATCH, "--frames", "8"])[1])
    answer = qcade(f"resume {run.path} --frames 16", capsys)
    assert answer.code == 0, answer.err
    assert (run.frames(), run.recipe().total_frames) == (16, 16)
    # It has a checkpoint now, which may not be cut off.
    answer = qcade(f"resume {run.path} --frames 8", capsys)
    assert answer.code == 2
    assert "is already at frame 16" in answer.err
    assert "so its length cannot be 8" in answer.err
    assert run.recipe().total_frames == 16
