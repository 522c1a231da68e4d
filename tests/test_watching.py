"""Evaluations, videos and loaded agents of a real, small run on Pong."""

from __future__ import annotations

import json
import re
import shutil
import typing
from pathlib import Path

import av
import numpy as np
import pytest

import qcade
from qcade.games.atari import Atari
from qcade.games.seeds import environment_seeds
from qcade.play.evaluation import agent_player, evaluate, evaluation_game
from qcade.play.session import Session
from qcade.tape.format import read_tape
from qcade.tape.reemulation import reemulate
from qcade.watch.filming import play_one

from command import qcade as run_qcade

ROOT = Path(__file__).parent.parent
PONG = (
    "pong --environments 2 --frames 400 --updates.start-frames 200 --replay.capacity 1000 "
    "--compute.threads 1"
).split()


@pytest.fixture(scope="module")
def pong_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from qcade.cli.main import run_command

    run = tmp_path_factory.mktemp("runs") / "pong-dqn-1"
    assert run_command(["train", *PONG, "--out", str(run)]) == 0
    return run


def test_evaluation_prints_one_json_object_with_its_protocol(
    pong_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run_qcade(
        f"evaluate {pong_run} --episodes 3 --sticky-actions 0.25 --seed 4 --json", capsys
    )
    result = json.loads(answer.out)
    assert (result["episodes"], len(result["scores"])) == (3, 3)
    assert result["mean"] == pytest.approx(sum(result["scores"]) / 3)
    assert result["median"] == sorted(result["scores"])[1]
    assert result["human_normalized"] == pytest.approx((result["mean"] + 20.7) / (14.6 + 20.7))
    protocol = result["protocol"]
    assert (protocol["sticky_actions"], protocol["noop_max"], protocol["epsilon"]) == (
        0.25,
        30,
        0.001,
    )
    assert {"ale_py", "qcade", "action_set", "max_episode_frames", "seed"} <= protocol.keys()
    [folder] = (pong_run / "evaluations").iterdir()
    assert json.loads((folder / "result.json").read_text()) == result
    tape = read_tape(folder)
    assert sorted(e.score for e in tape.episodes) == sorted(result["scores"])
    # Played again from its seeds and actions alone, it is the same evaluation.
    game = Atari(sticky_actions=0.25)
    session = Session(game.open(tape.environments, 99), tape.environments)
    again = [
        (episode.first_row, episode.score, episode.frames_crc)
        for row in reemulate(session, tape.actions, 0, tape.seedings)
        for episode in row.ended
    ]
    session.close()
    assert {(e.first_row, e.score, e.frames_crc) for e in tape.episodes} <= set(again)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--sticky-actions 25", "game.sticky_actions is 25.0; it must be from 0 to 1"),
        ("--noop-max -5", "game.noop_max is -5; it must be at least 0"),
        ("--max-episode-frames 0", "game.max_episode_frames is 0; it must be at least 1"),
        ("--seed -1", "--seed is -1; it must be at least 0"),
        ("--epsilon 2", "--epsilon is 2.0; it must be from 0 to 1"),
        ("--episodes 0", "--episodes is 0; it must be at least 1"),
    ],
)
def test_an_evaluation_under_an_impossible_protocol_is_refused(
    pong_run: Path, words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(pong_run.rglob("*"))
    answer = run_qcade(f"evaluate {pong_run} {words}", capsys)
    assert answer.code == 2
    assert sentence in answer.err
    assert sorted(pong_run.rglob("*")) == before


@pytest.mark.parametrize("words", ["--seed -1", "--epsilon 2", "--seconds 0"])
def test_a_video_of_an_impossible_game_is_refused(
    pong_run: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run_qcade(f"video {pong_run} {words}", capsys)
    assert answer.code == 2
    assert "it must be" in answer.err
    assert not (pong_run / "videos").exists()


def test_an_evaluation_repeats_itself(pong_run: Path) -> None:
    agent = qcade.load(pong_run)
    # To the first points and a little further.
    game = evaluation_game(agent.recipe.game, {"max_episode_frames": 1_200})
    once = evaluate(agent_player(agent, 0.5, 1), game, 3, 1)
    again = evaluate(agent_player(agent, 0.5, 1), game, 3, 1)
    other = evaluate(agent_player(agent, 0.5, 2), game, 3, 2)
    assert once == again
    assert once.scores != other.scores
    assert len(once.scores) == 3


@pytest.mark.parametrize("overlay", [True, False])
def test_a_video_shows_the_game_that_was_played(
    overlay: bool, pong_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "v.mp4"
    words = f"video {pong_run} --out {file} --seconds 5 --seed 3"
    answer = run_qcade(words + ("" if overlay else " --no-overlay"), capsys)
    assert answer.code == 0
    with av.open(str(file)) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    assert len(pictures) == 300
    assert rate == 60
    assert pictures[0].shape == (630 + 56 * overlay, 480, 3)
    # Pong's brown field and green paddle, in colour.
    assert np.abs(pictures[100][300, 240].astype(int) - (144, 72, 17)).max() < 12
    if overlay:
        assert (pictures[100][630:].max(), pictures[100][630:].min()) > (200, 40)


def test_a_filmed_game_has_the_score_of_the_played_one(pong_run: Path) -> None:
    agent = qcade.load(pong_run)
    environments = agent.recipe.game.open(1, 5, 1)
    played = list(play_one(agent, environments, seed=5, epsilon=0.1))
    environments.close()
    actions = [step.action for step in played]
    filmed = list(agent.recipe.game.film(int(environment_seeds(5, 1)[0]), actions))
    assert [step.is_last for step in played] == [False] * (len(played) - 1) + [True]
    assert [step.reward for step in filmed] == [step.reward for step in played]


def test_loaded_agents_refuse_what_they_were_not_trained_on(pong_run: Path) -> None:
    agent = qcade.load(pong_run)
    assert isinstance(agent.act(np.zeros((4, 84, 84), np.uint8)), int)
    with pytest.raises(qcade.QcadeError, match=r"trained on uint8 observations of shape \(4, 84"):
        agent.act(np.zeros((84, 84, 4), np.uint8))
    with pytest.raises(qcade.QcadeError, match="float32"):
        agent.act(np.zeros((4, 84, 84), np.float32))
    with pytest.raises(qcade.QcadeError, match="no checkpoint"):
        qcade.load(pong_run, checkpoint="1599")


def test_the_examples_of_the_library_page_run(
    pong_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pong_run, tmp_path / "runs" / "pong-dqn-1")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "library.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) >= 2
    # Whole modules are tested as modules: tests/recipes/test_own_algorithm.py.
    for example in [e for e in examples if not e.startswith('"""')]:
        exec(compile(example, "docs/library.md", "exec"), {})


def test_every_event_is_exported_and_on_the_library_page() -> None:
    page = (ROOT / "docs" / "library.md").read_text()
    for event in typing.get_args(qcade.Event):
        assert getattr(qcade, event.__name__) is event
        assert event.__name__ in qcade.__all__
        assert f"\n| `{event.__name__}` | " in page
    recipe = qcade.make_recipe("catch", "catch")
    assert isinstance(next(iter(qcade.train(recipe))), qcade.Started)


def test_a_rom_file_and_a_gymnasium_id_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ale_py import roms

    rom = tmp_path / "my cartridge.a26"
    rom.write_bytes(Path(str(roms.get_rom_path("breakout"))).read_bytes())
    small = "--frames 64 --updates.start-frames 32 --replay.capacity 64 --environments 2".split()
    answer = run_qcade(
        ["train", "breakout", "--rom", str(rom), *small, "--out", str(tmp_path / "r")], capsys
    )
    assert answer.code == 0, answer.err
    answer = run_qcade(
        ["train", "--env-id", "ALE/Breakout-v5", *small, "--out", str(tmp_path / "g")], capsys
    )
    assert answer.code == 0, answer.err
    answer = run_qcade(f"video {tmp_path}/g --seconds 1 --out {tmp_path}/g.mp4", capsys)
    assert answer.code == 0, answer.err
    protocol = json.loads((tmp_path / "g" / "provenance.json").read_text())["protocol"]
    assert protocol["registered"]["repeat_action_probability"] == 0.25
