"""Training episodes come back from the tape in full colour, with the scores they had."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import av
import numpy as np
import pytest

from qcade.parts import Game
from qcade.play import session
from qcade.recipe import ReplayRecipe
from qcade.recipes.catch import catch
from qcade.recipes.dqn import dqn
from qcade.recipes.tutorial import tutorial
from qcade.runs.create import create_run
from qcade.tape.format import TapeWriter
from qcade.training.loop import train
from qcade.types import FilmedStep
from qcade.watch.episodes import RecordedRun, read_run
from qcade.watch.tape_films import film_each

from command import qcade

GAMES = "pong breakout space_invaders qbert tetris seaquest ms_pacman freeway".split()


def recorded(folder: Path, recipe: ReplayRecipe, rows: int, environments: int) -> RecordedRun:
    """Play at random, as a run does before its first update; a run directory with its tape."""
    decisions = rows * environments
    frames = decisions * recipe.game.frames_per_decision
    recipe = dataclasses.replace(
        recipe,
        environments=environments,
        total_frames=frames,
        updates=dataclasses.replace(recipe.updates, start_frames=frames),
        replay=dataclasses.replace(recipe.replay, capacity=10 * decisions),
        compute=dataclasses.replace(recipe.compute, threads=1, device="cpu"),
    )
    path = create_run(folder, recipe).path
    tape = TapeWriter(path, environments, recipe.game.protocol(), None)
    for event in train(recipe):
        tape.write(event)
    tape.spill()
    tape.close()
    return read_run(path)


def with_game(recipe: ReplayRecipe, **changes: object) -> ReplayRecipe:
    game: Game = dataclasses.replace(recipe.game, **changes)  # type: ignore[type-var]
    return dataclasses.replace(recipe, game=game)


def replayed(run: RecordedRun) -> dict[int, list[FilmedStep]]:
    return {e.episode: list(steps) for e, steps in film_each(run, run.tape.episodes)}


def assert_same_games(run: RecordedRun) -> dict[int, list[FilmedStep]]:
    found = replayed(run)
    assert len(found) == len(run.tape.episodes) > 1
    for episode in run.tape.episodes:
        steps = found[episode.episode]
        assert sum(step.reward for step in steps) == episode.score
        assert len(steps) == episode.length_decisions
        assert all(step.pictures and not step.first for step in steps)
    seeded = {(s.environment, s.row) for s in run.tape.seedings}
    opened = {(e.environment, e.first_row) for e in run.tape.episodes}
    assert opened & seeded
    assert opened - seeded, "no episode that reset itself was tested"
    return found


@pytest.mark.parametrize("sticky_actions", [0.0, 0.25])
@pytest.mark.parametrize("name", GAMES)
def test_every_frame_of_cut_episodes_comes_back(
    name: str, sticky_actions: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "RESEED_PERIOD_ROWS", 80)
    recipe = with_game(dqn(name), sticky_actions=sticky_actions, max_episode_frames=203)
    run = recorded(tmp_path / "run", recipe, 160, 1)
    assert [s.row for s in run.tape.seedings] == [0, 104]
    found = assert_same_games(run)
    # 50 decisions of four frames and one of three, although the opening no-ops count elsewhere.
    pictures = {sum(len(step.pictures) for step in steps) for steps in found.values()}
    assert pictures == {203}


@pytest.mark.parametrize("name", ["breakout", "qbert"])
def test_whole_games_come_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RESEED_PERIOD_ROWS", 600)
    recipe = with_game(dqn(name), sticky_actions=0.25)
    run = recorded(tmp_path / "run", recipe, 900, 1)
    assert_same_games(run)
    assert sum(episode.score for episode in run.tape.episodes) > 0


def test_random_skips_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RESEED_PERIOD_ROWS", 150)
    recipe = tutorial("breakout")
    recipe = with_game(recipe, max_episode_decisions=120)
    run = recorded(tmp_path / "run", recipe, 450, 1)
    lengths = {episode.length_decisions for episode in run.tape.episodes}
    assert max(lengths) == 120
    assert_same_games(run)


def test_unlisted_episodes_are_passed_over_without_pictures(run: RecordedRun) -> None:
    segment = run.tape.seedings[0]
    actions = [int(a) for a in run.tape.actions[1:, 0]]
    every = list(run.game.film(segment.seed, actions))
    some = list(run.game.film(segment.seed, actions, lambda step: step >= 30))
    assert [step.reward for step in some] == [step.reward for step in every]
    assert not any(step.pictures for step in some[:30])
    for one, other in zip(some[30:], every[30:], strict=True):
        np.testing.assert_array_equal(one.pictures, other.pictures)
    assert [row for row, step in enumerate(every, 1) if step.first] == [30, 60, 90]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    """Three episodes of 29 decisions and 113 frames in each of two environments."""
    recipe = with_game(dqn("space_invaders"), max_episode_frames=113)
    return recorded(tmp_path_factory.mktemp("runs") / "si", recipe, 100, 2)


def decoded(file: Path) -> tuple[list[np.ndarray], float]:
    with av.open(f"file:{file}") as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        return pictures, float(container.streams.video[0].average_rate or 0)


def test_an_episode_is_one_file_with_every_picture(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = qcade(f"video {run.path} --episode every:3", capsys)
    assert answer.code == 0, answer.err
    assert "as recorded" in answer.out
    files = sorted((run.path / "videos").iterdir())
    assert [file.name for file in files] == ["episode-000003.mp4", "episode-000006.mp4"]
    pictures, rate = decoded(files[0])
    assert (len(pictures), rate) == (113, 60)
    assert pictures[0].shape == (630 + 56, 480, 3)
    assert pictures[50][630:].max() > 200
    out = tmp_path / ("x.mp4" if os.name == "nt" else "catch:1%d.mp4")
    answer = qcade(f"video {run.path} --episode 3 --no-overlay --out {out}", capsys)
    assert answer.code == 0, answer.err
    bare, _ = decoded(out)
    assert bare[0].shape == (630, 480, 3)
    assert np.abs(bare[50].astype(int) - pictures[50][:630]).mean() < 2


def test_a_montage_puts_episodes_side_by_side(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"video {run.path} --montage first,50%,best --out {tmp_path}/m.mp4"
    answer = qcade(f"{words} --seconds 1", capsys)
    assert answer.code == 0, answer.err
    pictures, _ = decoded(tmp_path / "m.mp4")
    assert len(pictures) == 60
    assert pictures[0].shape == (420 + 56, 3 * 320 + 2 * 8, 3)
    assert qcade(words, capsys).code == 0
    assert len(decoded(tmp_path / "m.mp4")[0]) == 113


@pytest.mark.parametrize(("suffix", "count", "rate"), [("gif", 38, 20), ("webm", 113, 60)])
def test_other_formats(
    suffix: str,
    count: int,
    rate: float,
    run: RecordedRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / f"v.{suffix}"
    answer = qcade(f"video {run.path} --episode 2 --out {file}", capsys)
    assert answer.code == 0, answer.err
    pictures, found = decoded(file)
    assert len(pictures) == count
    assert found == pytest.approx(rate, rel=0.02)
    # The green ground and the black sky.
    ground = pictures[20][int(pictures[20].shape[0] * 0.855), pictures[20].shape[1] // 2]
    assert np.abs(ground.astype(int) - (80, 89, 22)).max() < 20
    assert pictures[20][100, 4].max() < 20


def test_episodes_are_listed(run: RecordedRun, capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(qcade(f"episodes {run.path} --json", capsys).out)
    assert [e["episode"] for e in listed] == [1, 2, 3, 4, 5, 6]
    assert [e["length_decisions"] for e in listed] == [29] * 6
    assert listed == [dataclasses.asdict(episode) for episode in run.tape.episodes]
    words = f"episodes {run.path} --last 3 --sort score --json"
    best = json.loads(qcade(words, capsys).out)
    assert {e["episode"] for e in best} == {4, 5, 6}
    assert [e["score"] for e in best] == sorted((e["score"] for e in listed[3:]), reverse=True)
    table = qcade(f"episodes {run.path}", capsys).out
    assert len(table.splitlines()) == 7


def test_what_cannot_be_shown_is_said(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, problem in {
        "--episode 7": "has 1 to 6",
        "--episode every:7": "has 1 to 6",
        "--episode latest": "first, last, best",
        "--episode all --out a.mp4": "6 episodes, but --out is one file",
        "--episode 1 --out a.avi": "must end in .mp4, .webm, .gif",
        "--episode 1 --montage 2": "use only one",
        "--episode 1 --seed 3": "leave it out",
        "--episode 1 --seconds 0": "at least 1",
    }.items():
        answer = qcade(f"video {run.path} {words}", capsys)
        assert answer.code == 2, words
        assert problem in answer.err
    assert not Path("a.mp4").exists()
    assert qcade(f"episodes {tmp_path}", capsys).code == 2


def test_a_score_that_differs_is_said(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    for name in ("recipe.json", "tape.bin"):
        (folder / name).write_bytes((run.path / name).read_bytes())
    index = (run.path / "tape.index").read_text()
    score = f'"score": {run.tape.episodes[0].score}'
    (folder / "tape.index").write_text(index.replace(score, '"score": 7.0', 1))
    answer = qcade(f"video {folder} --episode 1,2", capsys)
    assert answer.code == 2
    assert "episode 1 is a different game here: the tape says score 7" in answer.err
    assert "episode-000002.mp4" in answer.out
    recipe = (folder / "recipe.json").read_text()
    (folder / "recipe.json").write_text(recipe.replace("113", "90"))
    written = folder / "videos" / "episode-000002.mp4"
    before = written.read_bytes()
    answer = qcade(f"video {folder} --episode 2", capsys)
    assert answer.code == 2
    assert "max_episode_frames 113, here it is 90" in answer.err
    assert written.read_bytes() == before, "a film that fails leaves the older one alone"
    assert sorted(each.name for each in written.parent.iterdir()) == [
        "episode-000001.mp4",
        "episode-000002.mp4",
    ]


def test_catch_is_replayed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RESEED_PERIOD_ROWS", 20)
    assert_same_games(recorded(tmp_path / "run", catch("catch"), 60, 2))
