"""Agents that learn, runs that repeat themselves, scores that are what they say."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from qcade import Episode
from qcade.agent.agent import Agent
from qcade.compute.hardware import torch_threads
from qcade.play.evaluation import agent_player, evaluate
from qcade.play.session import EndedEpisode, EpisodeTracker
from qcade.recipe import Compute, Recipe
from qcade.recipes import make_recipe
from qcade.recipes.catch import catch
from qcade.recipes.dqn import dqn
from qcade.training.loop import run
from qcade.training.plan import build_training, plan_training
from qcade.training.snapshot import take_snapshot
from qcade.types import TimeStep

from command import TINY_CATCH, metrics_without_time, qcade


def trained(recipe: Recipe) -> Agent:
    training = build_training(plan_training(recipe))
    with torch_threads(training.hardware.threads):
        for _ in run(training):
            pass
    training.close()
    actions = len(training.session.environments.action_meanings)
    return Agent(recipe, training.learner.network.state_dict(), actions)


def test_dqn_solves_catch() -> None:
    # One thread: with two, two test processes beside each other take three times as long.
    recipe = dataclasses.replace(catch("catch"), compute=Compute(device="cpu", threads=1))
    agent = trained(recipe)
    result = evaluate(agent_player(agent, 0.0, 3), agent.recipe.game, 100, 3)
    assert sum(result.scores) / 100 >= 0.95


def test_an_agent_that_is_not_trained_does_not_solve_catch() -> None:
    recipe = dataclasses.replace(catch("catch"), total_frames=8)
    agent = trained(recipe)
    result = evaluate(agent_player(agent, 0.0, 3), recipe.game, 100, 3)
    assert sum(result.scores) / 100 < 0.5


def test_two_processes_with_the_same_seed_write_the_same_metrics(tmp_path: Path) -> None:
    # On Pong, what is killed and resumed equals what is not: tests/runs/test_exact_resume.py.
    for name, seed in (("one", "1"), ("two", "1"), ("other", "2")):
        words = [*TINY_CATCH, "--updates.period-decisions", "16", "--seed", seed, "--out", name]
        command = [sys.executable, "-m", "qcade", "train", *words]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    one, two, other = (metrics_without_time(tmp_path / name) for name in ("one", "two", "other"))
    model = sorted((tmp_path / "one" / "checkpoints").iterdir())[-1].name + "/model.safetensors"
    weights = [(tmp_path / n / "checkpoints" / model).read_bytes() for n in ("one", "two", "other")]
    assert one == two
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    assert one
    assert one != other


def test_scores_of_games_with_lives_are_whole_games(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = dataclasses.replace(dqn("breakout"), total_frames=16_000, environments=4)
    training = build_training(plan_training(recipe))
    arrived: list[TimeStep] = []
    track = EpisodeTracker.track

    def listening(tracker: EpisodeTracker, step: TimeStep) -> tuple[EndedEpisode, ...]:
        arrived.append(step)
        return track(tracker, step)

    monkeypatch.setattr(EpisodeTracker, "track", listening)
    with torch_threads(training.hardware.threads):
        ended = [event for event in run(training) if isinstance(event, Episode)]
    training.close()
    lengths = [event.length_decisions for event in ended]
    for event in ended:
        i, last = event.environment, event.first_row + event.length_decisions
        game = arrived[event.first_row + 1 : last + 1]
        opens = [step.first[i] for step in arrived[event.first_row : last + 2]]
        assert opens == [True, *[False] * len(game), True]
        # Four lives are lost on the way, and the fifth at the end; every raw point counts.
        lost = [number for number, step in enumerate(game, 1) if step.discount[i] == 0]
        assert len(lost) == 5
        assert lost[-1] == len(game)
        assert event.score == sum(step.reward[i] for step in game)
    assert max(event.score for event in ended) > 1
    rows = torch.arange(training.ring.appended_rows - 1)
    lost_lives = 0
    for environment in range(4):
        batch = training.ring.gather(rows, torch.full_like(rows, environment), 1, 1.0)
        lost_lives += int((batch.discount_t == 0).sum())
    # Breakout has five lives: every game that ended lost them all.
    assert len(lengths) > 4
    assert lost_lives >= 5 * len(lengths)
    assert min(lengths) > 60


def test_the_tutorial_plays_at_its_own_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "train space-invaders --recipe tutorial --frames 300 --replay.capacity 1000 "
        f"--compute.threads 1 --out {tmp_path}/e"
    )
    assert qcade(words, capsys).code == 0
    recipe = json.loads((tmp_path / "e" / "recipe.json").read_text())
    provenance = json.loads((tmp_path / "e" / "provenance.json").read_text())
    assert provenance["protocol"]["observation"] == "105x80 grey"
    assert recipe["game"]["frame_skip"] == [2, 5]
    assert (recipe["replay"]["gamma"], recipe["updates"]["batch_size"]) == (0.9, 64)
    state = json.loads((max((tmp_path / "e" / "checkpoints").iterdir()) / "state.json").read_text())
    # One update for every decision once 64 of them are in memory.
    counters = state["counters"]
    assert (counters["decisions"], counters["updates"]) == (100, 100 - 64)


def test_an_evaluation_leaves_the_noise_out() -> None:
    recipe = dataclasses.replace(make_recipe("rainbow", "catch"), seed=5)
    training = build_training(plan_training(recipe))
    weights = take_snapshot(training).weights
    training.close()
    one, other = (Agent(recipe, weights, 3, seed=seed) for seed in (1, 2))
    scores = [
        evaluate(agent_player(agent, 0.0, 3), recipe.game, 8, 3).scores for agent in (one, other)
    ]
    assert scores[0] == scores[1]
    # With its noise the very same network plays otherwise.
    observations = torch.randint(256, (64, 4, 84, 84), dtype=torch.uint8)
    network = one.network
    noisy = network(observations, torch.Generator().manual_seed(1)).q_values.argmax(1)
    assert not torch.equal(noisy, network(observations).q_values.argmax(1))
