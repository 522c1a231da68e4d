"""Every recipe, at its real network: learns on Pong, resumes to the last bit, and loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import qcade
from qcade.recipe import OnPolicyRecipe
from qcade.recipes import make_recipe, recipe_names
from qcade.runs.reading.checkpoints import list_checkpoints

from command import metrics_without_time
from command import qcade as command

FRAMES_A_DECISION = 4
# What would only make a run of a few updates slow: wide layers, and batches of hundreds.
NARROWER = {
    "bbf": "--torso.torso.width 1 --algorithm.base.streams.hidden 64",
    "btr": "--environments 4",
    "hadamax-pqn": "--environments 2 --rollouts.decisions 4",
    "tutorial": "--checkpoints.period-episodes 0",
}


def short_run(name: str) -> list[str]:
    """Words for a run with updates before and after its one checkpoint in the middle."""
    recipe = make_recipe(name, "pong")
    words = f"train pong --recipe {name} --compute.threads 1 {NARROWER.get(name, '')}".split()
    frames = recipe.game.frames_per_decision
    if isinstance(recipe, OnPolicyRecipe):
        decisions, environments = (4, 2) if name in NARROWER else (6, 4)
        if name not in NARROWER:
            words += f"--environments {environments} --rollouts.decisions {decisions}".split()
        rollout = decisions * environments * frames
        # The checkpoint falls into the middle of the third rollout.
        period, total = 2 * rollout + environments * frames * 2, 4 * rollout + environments * frames
        words += ["--rollouts.minibatches", "2"]
    else:
        environments = 4 if name == "btr" else 1 if name == "tutorial" else 2
        if name not in ("btr", "tutorial"):
            words += ["--environments", str(environments)]
        start = 30 * environments * frames
        period, total = start + 6 * environments * frames, start + 10 * environments * frames
        # The memory wraps around after the checkpoint.
        words += f"--updates.start-frames {start} --replay.capacity {36 * environments}".split()
        words += f"--updates.period-decisions {environments} --updates.batch-size 4".split()
    words += f"--frames {total} --checkpoints.period-frames {period}".split()
    return words


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_learns_on_pong_resumes_exactly_and_loads(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    answer = command([*short_run(name), "--out", str(whole)], capsys)
    assert answer.code == 0, answer.err
    middle, end = list_checkpoints(whole / "checkpoints")
    updates = [
        json.loads((path / "state.json").read_text())["counters"]["updates"]
        for path in (middle, end)
    ]
    assert updates[0] >= 2
    assert updates[1] >= updates[0] + 2

    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints" / end.name)
    answer = command(["resume", str(cut)], capsys)
    assert answer.code == 0, answer.err
    resumed = list_checkpoints(cut / "checkpoints")[-1]
    assert resumed.name == end.name
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert (resumed / file).read_bytes() == (end / file).read_bytes(), file
    for file in ("tape.bin", "tape.index"):
        assert (cut / file).read_bytes() == (whole / file).read_bytes(), file
    assert metrics_without_time(cut) == metrics_without_time(whole)

    agent = qcade.load(whole)
    height, width = agent.recipe.game.frame_shape
    observation = np.zeros((4, height, width), np.uint8)
    values = agent.q_values(observation)
    assert values.shape == (6,)
    assert np.isfinite(values).all()
    # Without a generator a network is a function: noise and quantiles are for learning.
    assert np.array_equal(values, agent.q_values(observation))
    assert agent.act(observation) == int(values.argmax())
