"""What a run will take of memory, told before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import torch

from qcade.algorithms.dqn import DQN
from qcade.compute import hardware
from qcade.compute.control_groups import Limits
from qcade.games.atari import Atari
from qcade.networks.q_network import build_q_network
from qcade.networks.torsos.nature import Nature
from qcade.parts import ReplayAlgorithm
from qcade.recipe import OnPolicyRecipe, Recipe, Replay, ReplayRecipe
from qcade.recipes import make_recipe, recipe_names
from qcade.recipes.btr import btr
from qcade.recipes.dqn import dqn
from qcade.recipes.pqn import pqn
from qcade.runs.requirements import check_requirements, predict_requirements, shrink_to_fit
from qcade.training.learning_memory import (
    ACTIVATION_BYTES_PER_PIXEL,
    MOST_ACTIONS,
    future_steps_of,
    learning_memory,
    update_size,
)
from qcade.training.memory import LEAST_OTHER_BYTES, predict_memory
from qcade.training.peak_memory import META, peak_bytes
from qcade.types import Batch, Loss, QcadeError

from command import qcade

DQN_PONG, PQN_PONG = dqn("pong"), pqn("pong")
PIXELS = 4 * 84 * 84


def with_batch(recipe: ReplayRecipe, size: int) -> ReplayRecipe:
    return dataclasses.replace(recipe, updates=dataclasses.replace(recipe.updates, batch_size=size))


def test_the_peak_is_what_is_there_at_once() -> None:
    before = torch.zeros(10**6, device=META)

    def work() -> None:
        before.view(1000, 1000).t()  # a view of what was there takes nothing
        first = torch.zeros(1000, device=META)  # 4,000 bytes
        second = first + 1  # 8,000 in all
        view = second.view(10, 100)[:5]
        del first, second
        third = view.to(torch.float64)  # 4,000 that the view keeps, and 4,000
        del view, third
        torch.zeros(3, dtype=torch.uint8, device=META)

    assert peak_bytes(work) == 8_000
    assert peak_bytes(lambda: None) == 0


def test_an_update_takes_as_much_on_the_meta_device_as_on_a_processor() -> None:
    recipe, count = with_batch(DQN_PONG, 64), 64
    network = build_q_network(recipe.torso, recipe.algorithm, (4, 84, 84), MOST_ACTIONS, 0)
    number, reward = torch.zeros(count, dtype=torch.int64), torch.zeros(count)

    def update() -> None:
        s_tm1 = torch.zeros(count, 4, 84, 84, dtype=torch.uint8)
        batch = Batch(s_tm1, number, reward, reward, torch.zeros_like(s_tm1))
        loss = recipe.algorithm.loss(network, network, batch, torch.Generator())
        torch.autograd.backward(loss.per_sample.mean())

    assert learning_memory(recipe).update == pytest.approx(peak_bytes(update), rel=0.1)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_told_exactly_and_fits_a_usual_machine(name: str) -> None:
    recipe = make_recipe(name, "pong")
    found, future = learning_memory(recipe), future_steps_of(recipe.algorithm)
    guess = update_size(recipe) * PIXELS * ((2 + future) * 5 + ACTIVATION_BYTES_PER_PIXEL)
    assert found.update not in (0, guess)
    assert 0 < found.acting < 10**9
    assert predict_requirements(recipe).memory_bytes < 12 * 10**9


def test_ordinary_updates_are_covered_by_what_is_left_to_spare() -> None:
    weights = 4 * learning_memory(DQN_PONG).weights
    requirements = predict_requirements(dataclasses.replace(DQN_PONG, replay=Replay(storage="raw")))
    assert requirements.memory_bytes == 1_000_000 * (84 * 84 + 17) + weights + LEAST_OTHER_BYTES
    # Nature with 512 hidden units and a head of 18 actions, as in the paper, in float32.
    convolutions = 32 * (4 * 64 + 1) + 64 * (32 * 16 + 1) + 64 * (64 * 9 + 1)
    assert weights == 4 * 4 * (convolutions + 512 * (3136 + 1) + 18 * (512 + 1))
    # 256 transitions through a residual torso took some 1,500 MB of a process.
    recipe = btr("pong")
    learning = learning_memory(recipe)
    assert 1.1e9 < learning.update < 1.6e9
    frames = recipe.ring_rows * recipe.environments * (84 * 84 + 17)
    beside = predict_requirements(recipe).memory_bytes - frames - 4 * learning.weights
    assert learning.update + 400_000_000 < beside < learning.update + 600_000_000


def test_what_an_update_takes_grows_with_the_batch() -> None:
    small, large = (learning_memory(with_batch(DQN_PONG, size)) for size in (1_000, 100_000))
    assert large.update == pytest.approx(100 * small.update, rel=0.1)
    assert large.update > 100_000 * PIXELS * (2 + 2 * 4)


def huge_batch() -> Recipe:
    return with_batch(DQN_PONG, 2**20)


def many_environments() -> Recipe:
    return dataclasses.replace(
        DQN_PONG, environments=10**6, total_frames=10**11, replay=Replay(capacity=10**8)
    )


def huge_minibatches() -> Recipe:
    rollouts = dataclasses.replace(PQN_PONG.rollouts, decisions=4_000, minibatches=2)
    return dataclasses.replace(PQN_PONG, rollouts=rollouts)


def huge_rollouts() -> Recipe:
    rollouts = dataclasses.replace(PQN_PONG.rollouts, decisions=10**5, minibatches=10**5)
    return dataclasses.replace(PQN_PONG, rollouts=rollouts)


def huge_network() -> Recipe:
    game = Atari("pong", height=4096, width=4096)
    return dataclasses.replace(DQN_PONG, game=game, stack=256, replay=Replay(capacity=20_008))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (huge_batch, "(updates.batch_size is 1,048,576)"),
        (huge_batch, "reduce updates.batch_size"),
        (many_environments, "(environments is 1,000,000)"),
        (many_environments, "reduce environments"),
        (huge_minibatches, "(updates of 256,000 decisions)"),
        (huge_minibatches, "raise rollouts.minibatches or reduce rollouts.decisions"),
        (huge_rollouts, "(12,800,512 frames of 84x84, raw)"),
        (huge_rollouts, "reduce rollouts.decisions"),
        (huge_network, "GB of memory"),
    ],
)
def test_what_is_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Recipe], says: str
) -> None:
    monkeypatch.setattr(hardware, "read_limits", lambda: Limits(memory_bytes=24 * 10**9))
    before = psutil.Process().memory_info().rss
    with pytest.raises(QcadeError) as refused:
        check_requirements(make(), tmp_path)
    assert says in str(refused.value)
    assert str(refused.value).count("\n") == 0
    # Nothing of that size was built to find out.
    assert psutil.Process().memory_info().rss < before + 500_000_000


def test_the_container_is_named_where_it_is_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hardware, "read_limits", lambda: Limits(memory_bytes=2 * 10**9))
    answer = qcade(f"train pong --replay.storage raw --out {tmp_path / 'run'}", capsys)
    assert answer.code == 2
    said = " ".join(answer.err.split())
    assert "needs 7.9 GB of memory (1,000,000 frames of 84x84, raw)" in said
    assert "2.0 GB is available (limit of the container): --replay.capacity 165000" in said
    # A smaller memory would not help here.
    asked = with_batch(DQN_PONG, 2**20)
    assert shrink_to_fit(asked) == asked
    raw = dataclasses.replace(DQN_PONG, replay=Replay(storage="raw"))
    smaller = shrink_to_fit(raw)
    assert isinstance(smaller, ReplayRecipe)
    assert smaller.replay.capacity == 125_000


def test_a_gpu_and_the_machine_it_is_in_are_asked_each_for_its_own() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    recipe = dataclasses.replace(with_batch(DQN_PONG, 10_000), environments=1_000)
    learning = learning_memory(recipe)
    frames = 1_000_000 * (84 * 84 + 17)
    gpu, host = predict_memory(recipe, "raw", cuda, learning)
    assert (gpu.device, host.device) == (cuda, cpu)
    assert gpu.bytes > frames + learning.update
    assert 1_000 * 10**6 < host.bytes < 3 * 10**9
    host, gpu = predict_memory(recipe, "compressed", cuda, learning)
    assert (gpu.device, host.device) == (cuda, cpu)
    assert learning.update < gpu.bytes < learning.update + 10**9
    assert host.bytes < frames
    (both,) = predict_memory(recipe, "raw", cpu, learning)
    assert both.bytes > frames + learning.update + 1_000 * 10**6


@dataclass(frozen=True)
class AsksForNumbers(ReplayAlgorithm):
    """Learns only where tensors have contents, and cannot be hashed."""

    inner: DQN = field(default_factory=DQN)
    unused: list[int] = field(default_factory=list)

    def head(self, features: tuple[int, ...], actions: int) -> torch.nn.Module:
        return self.inner.head(features, actions)

    def loss(
        self,
        online: torch.nn.Module,
        target: torch.nn.Module,
        batch: Batch,
        generator: torch.Generator | None,
    ) -> Loss:
        assert float(batch.r_t.sum()) >= 0
        return self.inner.loss(online, target, batch, generator)


def test_parts_that_need_real_tensors_are_guessed_at() -> None:
    recipe = dataclasses.replace(with_batch(DQN_PONG, 1_000), algorithm=AsksForNumbers())
    exact, guess = learning_memory(with_batch(DQN_PONG, 1_000)), learning_memory(recipe)
    assert guess.weights == exact.weights
    assert exact.update / 2 < guess.update < 4 * exact.update
    assert exact.acting / 2 < guess.acting < 4 * exact.acting


def test_frames_that_a_torso_cannot_read_are_refused() -> None:
    recipe = dataclasses.replace(DQN_PONG, game=Atari("pong", height=10, width=10), torso=Nature())
    with pytest.raises(QcadeError, match="Nature cannot read 10x10 frames"):
        predict_requirements(recipe)
    assert isinstance(PQN_PONG, OnPolicyRecipe)
