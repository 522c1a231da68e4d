"""A trained agent in loops of other people's: what it is given, and the threads it computes on."""

from __future__ import annotations

import dataclasses
import fractions
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import qcade as package
from qcade.agent.agent import Agent
from qcade.cli.main import run_command
from qcade.networks.q_network import build_q_network
from qcade.recipe import Compute
from qcade.recipes import make_recipe
from qcade.types import QcadeError

SHAPE = (4, 84, 84)
ACTIONS = 3


def make_agent(threads: int = 1) -> Agent:
    """An untrained agent for Catch."""
    recipe = dataclasses.replace(
        make_recipe("catch", "catch"), compute=Compute(device="cpu", threads=threads)
    )
    network = build_q_network(recipe.torso, recipe.algorithm, SHAPE, ACTIONS, seed=3)
    return Agent(recipe, network.state_dict(), ACTIONS)


@pytest.fixture(scope="module")
def agent() -> Agent:
    """One for tests that change nothing about it."""
    return make_agent()


def stacks(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Noise: uint8 [count, 4, 84, 84]."""
    return np.random.default_rng(0).integers(256, size=(count, *SHAPE), dtype=np.uint8)


class AsksForItself:
    """Something that is an array to NumPy."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return stacks(1)[0]


class Refuses:
    """Something that fails when NumPy asks for its numbers."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise RuntimeError("no numbers here")


@pytest.mark.parametrize(
    ("observation", "got"),
    [
        (None, "it was given None"),
        ("left", "it was given a str"),
        (b"\0" * 28224, "it was given a bytes"),
        ({}, "it was given a dict"),
        (7, "it was given int64 of shape ()"),
        ([[1, 2], [3]], "it was given a list that is not an array"),
        (Refuses(), "it was given a Refuses that is not an array"),
        (np.array([None, 1], object), "it was given a ndarray"),
        (np.zeros(SHAPE, np.float32), "it was given float32 of shape (4, 84, 84)"),
        (np.zeros(SHAPE, np.int8), "it was given int8 of shape (4, 84, 84)"),
        (np.zeros(SHAPE, np.bool_), "it was given bool of shape (4, 84, 84)"),
        (np.zeros((4, 84, 84), np.uint8).tolist(), "it was given int64 of shape (4, 84, 84)"),
        (np.zeros((84, 84), np.uint8), "it was given uint8 of shape (84, 84)"),
        (np.zeros((84, 84, 4), np.uint8), "it was given uint8 of shape (84, 84, 4)"),
        (np.zeros((1, 1, *SHAPE), np.uint8), "it was given uint8 of shape (1, 1, 4, 84, 84)"),
        (np.zeros((2, 4, 84, 83), np.uint8), "it was given uint8 of shape (2, 4, 84, 83)"),
        (torch.zeros(SHAPE), "it was given float32 of shape (4, 84, 84)"),
        (torch.zeros(1, 2, *SHAPE, dtype=torch.uint8), "uint8 of shape (1, 2, 4, 84, 84)"),
        (torch.zeros(SHAPE, dtype=torch.uint8, device="meta"), "shape (4, 84, 84) on meta"),
        ((stacks(2), {"lives": 3}), "the pair that reset returns: pass its first element"),
        (
            (stacks(2), np.zeros(2), np.zeros(2), np.zeros(2), {}),
            "the tuple that step returns: pass its first element",
        ),
    ],
)
def test_other_observations_are_refused_in_one_sentence(
    agent: Agent, observation: Any, got: str
) -> None:
    for call in (agent.act, agent.q_values):
        with pytest.raises(QcadeError) as refused:
            call(observation)
        said = str(refused.value)
        assert said.startswith(
            "the agent was trained on uint8 observations of shape (4, 84, 84) (oldest frame first)"
        )
        assert got in said
        assert "\n" not in said


def test_one_observation_is_one_action_and_a_batch_is_an_array(agent: Agent) -> None:
    batch = stacks(3)
    values = agent.q_values(batch)
    assert values.shape == (3, ACTIONS)
    actions = agent.act(batch)
    assert isinstance(actions, np.ndarray)
    assert actions.tolist() == values.argmax(1).tolist()
    single = agent.act(batch[1])
    assert isinstance(single, int)
    assert single == actions[1]
    assert agent.q_values(batch[1]).shape == (ACTIONS,)
    assert np.shape(agent.act(batch[:0])) == (0,)


def test_numbers_are_taken_however_they_are_kept(agent: Agent) -> None:
    batch = stacks(2)
    expected = agent.q_values(batch)
    read_only = batch.copy()
    read_only.flags.writeable = False
    backwards = batch[:, :, ::-1].copy()[:, :, ::-1]
    every_second = np.repeat(batch, 2, axis=3)[..., ::2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept: Any
        for kept in (read_only, backwards, every_second, torch.from_numpy(batch), [*batch]):
            assert np.array_equal(agent.q_values(kept), expected), type(kept)
    assert np.array_equal(agent.q_values(AsksForItself()), agent.q_values(stacks(1)[0]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "epsilon", [-0.1, 1.5, float("nan"), float("inf"), "0.1", None, True, [0.5], 1j, 10**400]
)
def test_what_is_no_probability_is_refused(agent: Agent, epsilon: Any) -> None:
    with pytest.raises(QcadeError, match=r"epsilon is .*: use a number from 0 to 1"):
        agent.act(stacks(1), epsilon)


@pytest.mark.parametrize("epsilon", [0, 1, 0.5, np.float32(0.25), fractions.Fraction(1, 3)])
def test_all_kinds_of_numbers_are_probabilities(agent: Agent, epsilon: Any) -> None:
    assert 0 <= agent.act(stacks(1)[0], epsilon) < ACTIONS


def test_an_agent_computes_on_its_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), []
    agent = make_agent(threads=before + 2)
    assert torch.get_num_threads() == before
    agent.network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    agent.act(stacks(2))
    agent.q_values(stacks(2))
    assert seen == [before + 2] * 2
    assert torch.get_num_threads() == before


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on one thread, with checkpoints at 320 and 640 frames and few updates."""
    folder = tmp_path_factory.mktemp("runs") / "catch"
    words = (
        "train catch --frames 640 --updates.start-frames 560 --replay.capacity 2000 "
        "--checkpoints.period-frames 320 --compute.threads 1"
    )
    assert run_command([*words.split(), "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("checkpoint", [320, "320", "0320", np.int64(320), np.uint16(320)])
def test_a_checkpoint_is_named_by_its_frame(run: Path, checkpoint: Any) -> None:
    newest = package.load(run).q_values(stacks(1))
    earlier = package.load(str(run), checkpoint=checkpoint).q_values(stacks(1))
    assert not np.array_equal(newest, earlier)
    assert np.array_equal(package.load(run, 640).q_values(stacks(1)), newest)


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [
        (641, '"641"'),
        (-640, '"-640"'),
        ("last", '"last"'),
        ("1__", '"1__"'),
        ("\u00b2", '"\u00b2"'),
        ("", '""'),
        (True, "True"),
        (640.0, "640.0"),
        (None, "None"),
        (np.float32(640), "640.0"),
        ([640], "[640]"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_refused(run: Path, checkpoint: Any, said: str) -> None:
    with pytest.raises(QcadeError) as refused:
        package.load(run, checkpoint)
    assert said in str(refused.value)
    assert str(refused.value).endswith(": use newest, best or one of 320, 640")


@pytest.mark.parametrize("folder", [None, 3, b"runs"])
def test_a_run_is_named_by_a_path(folder: Any) -> None:
    with pytest.raises(QcadeError, match=r"run is .*: use a path"):
        package.load(folder)


FORKS = """
import multiprocessing, sys
import numpy as np
import torch
import qcade

torch.set_num_threads(2)
agent = qcade.load(sys.argv[1])
stacks = np.zeros((16, 4, 84, 84), np.uint8)
expected = agent.act(stacks).tolist()

def play(answers):
    answers.put(agent.act(stacks).tolist())

context = multiprocessing.get_context("fork")
answers = context.SimpleQueue()
workers = [context.Process(target=play, args=(answers,)) for _ in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join(30)
hanging = [worker for worker in workers if worker.exitcode is None]
for worker in hanging:
    worker.kill()
assert not hanging, "a worker hangs"
assert all(worker.exitcode == 0 for worker in workers)
assert [answers.get() for _ in workers] == [expected] * 2
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks of threads are nowhere else so common")
def test_workers_that_are_forked_after_the_agent_has_played_can_play(run: Path) -> None:
    words = [sys.executable, "-W", "ignore", "-c", FORKS, str(run)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
