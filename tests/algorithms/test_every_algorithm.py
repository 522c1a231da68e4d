"""What holds for every algorithm, whatever it learns."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from qcade.agent.learner import loss_of
from qcade.algorithms.c51 import C51
from qcade.algorithms.dqn import DQN
from qcade.algorithms.hl_gauss import HLGauss
from qcade.algorithms.iqn import IQN
from qcade.algorithms.munchausen_dqn import MunchausenDQN
from qcade.algorithms.munchausen_iqn import MunchausenIQN
from qcade.algorithms.pqn import PQN
from qcade.algorithms.qr_dqn import QRDQN
from qcade.algorithms.tutorial import TutorialDQN
from qcade.parts import AnyAlgorithm, ReplayAlgorithm, RolloutAlgorithm, Streams
from qcade.types import Batch, Loss, Minibatch

BATCH, ACTIONS, FEATURES = 6, 3, 4


@dataclass(frozen=True)
class LinearStreams(Streams):
    """One linear layer."""

    def build(self, features: int, actions: int, values: int) -> nn.Module:
        return LinearModule(features, actions, values)


class LinearModule(nn.Module):
    """Values W x, float [B, A, N]."""

    def __init__(self, features: int, actions: int, values: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(actions, values, features))

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.einsum("anf,bf->ban", self.weight, features)


class Network(nn.Module):
    """An algorithm's own head on the pixels themselves."""

    def __init__(self, algorithm: AnyAlgorithm, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = algorithm.head((1, 2, 2), ACTIONS)

    def forward(self, observation: Tensor, generator: torch.Generator | None = None) -> object:
        return self.head(observation.flatten(1).float() / 2.0, generator)


LINEAR = LinearStreams()
VALUING: list[ReplayAlgorithm] = [
    DQN(LINEAR),
    DQN(LINEAR, error="squared"),
    DQN(double=True, streams=LINEAR),
    TutorialDQN(LINEAR),
    TutorialDQN(LINEAR, untaken_actions="towards-zero"),
    MunchausenDQN(LINEAR),
    C51(LINEAR, atoms=11, v_min=-4.0, v_max=4.0),
    C51(double=True, streams=LINEAR, atoms=11, v_min=-4.0, v_max=4.0),
    HLGauss(LINEAR, bins=11, v_min=-4.0, v_max=4.0),
    QRDQN(LINEAR, quantiles=7),
    IQN(LINEAR, samples=8, policy_samples=5, cosines=6),
    MunchausenIQN(LINEAR, samples=8, policy_samples=5, cosines=6),
]
EVERY: list[AnyAlgorithm] = [*VALUING, PQN(LINEAR)]
every_algorithm = pytest.mark.parametrize("algorithm", EVERY, ids=lambda a: type(a).__name__)
valuing_algorithm = pytest.mark.parametrize("algorithm", VALUING, ids=lambda a: type(a).__name__)


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(seed: int = 5) -> Batch:
    draws, shape = generator_of(seed), (BATCH, 1, 2, 2)
    return Batch(
        s_tm1=torch.randint(4, shape, generator=draws, dtype=torch.uint8),
        a_tm1=torch.randint(ACTIONS, (BATCH,), generator=draws),
        r_t=torch.randn(BATCH, generator=draws),
        discount_t=0.5 + 0.5 * torch.rand(BATCH, generator=draws),
        s_t=torch.randint(4, shape, generator=draws, dtype=torch.uint8),
    )


def row_of(batch: Batch, row: int) -> Batch:
    one = slice(row, row + 1)
    s_tm1, a_tm1, r_t, discount_t, s_t, _ = batch
    return Batch(s_tm1[one], a_tm1[one], r_t[one], discount_t[one], s_t[one])


def with_row(batch: Batch, row: int, source: Batch) -> Batch:
    """The batch, with one row of another one in the same place."""
    is_row = torch.arange(BATCH) == row
    images = is_row[:, None, None, None]
    return Batch(
        torch.where(images, source.s_tm1, batch.s_tm1),
        torch.where(is_row, source.a_tm1, batch.a_tm1),
        torch.where(is_row, source.r_t, batch.r_t),
        torch.where(is_row, source.discount_t, batch.discount_t),
        torch.where(images, source.s_t, batch.s_t),
    )


def loss_on(
    algorithm: AnyAlgorithm,
    online: nn.Module,
    target: nn.Module,
    batch: Batch,
    generator: torch.Generator | None,
) -> Loss:
    """The loss of a batch; rewards stand for the returns of decisions in a rollout."""
    if isinstance(algorithm, RolloutAlgorithm):
        minibatch = Minibatch(batch.s_tm1, batch.a_tm1, returns=batch.r_t)
        return loss_of(algorithm, online, target, minibatch, generator)
    return loss_of(algorithm, online, target, batch, generator)


def gradients(loss: Loss, network: nn.Module) -> list[Tensor | None]:
    weights = list(network.parameters())
    return list(
        torch.autograd.grad(loss.per_sample.sum(), weights, retain_graph=True, allow_unused=True)
    )


@every_algorithm
def test_gradients_reach_the_online_network_and_never_the_target(algorithm: AnyAlgorithm) -> None:
    online, target = Network(algorithm, 1), Network(algorithm, 2)
    loss = loss_on(algorithm, online, target, batch_of(), generator_of(3))
    assert all(g is not None and g.abs().max() > 0 for g in gradients(loss, online))
    assert all(g is None for g in gradients(loss, target))


@every_algorithm
def test_a_goal_that_the_online_network_makes_is_held_fixed(algorithm: AnyAlgorithm) -> None:
    online, batch = Network(algorithm, 1), batch_of()
    frozen = copy.deepcopy(online).requires_grad_(False)
    alone = loss_on(algorithm, online, online, batch, generator_of(3))
    expected = loss_on(algorithm, online, frozen, batch, generator_of(3))
    for one, other in zip(gradients(alone, online), gradients(expected, online), strict=True):
        torch.testing.assert_close(one, other)


@every_algorithm
@pytest.mark.parametrize("seed", [None, 3])
def test_each_sample_has_its_own_loss_whatever_else_is_in_the_batch(
    algorithm: AnyAlgorithm, seed: int | None
) -> None:
    online, target = Network(algorithm, 1), Network(algorithm, 2)
    batch, other = batch_of(5), batch_of(6)

    def loss_at(batch: Batch) -> Loss:
        generator = None if seed is None else generator_of(seed)
        return loss_on(algorithm, online, target, batch, generator)

    loss = loss_at(batch)
    assert loss.per_sample.shape == loss.priority.shape == (BATCH,)
    assert loss.per_sample.dtype == loss.priority.dtype == torch.float32
    for i in range(BATCH):
        mixed = with_row(other, i, batch)
        torch.testing.assert_close(loss_at(mixed).per_sample[i], loss.per_sample[i])
        torch.testing.assert_close(loss_at(mixed).priority[i], loss.priority[i])


@every_algorithm
def test_a_sample_alone_has_the_loss_that_it_has_among_others(algorithm: AnyAlgorithm) -> None:
    online, target, batch = Network(algorithm, 1), Network(algorithm, 2), batch_of()
    loss = loss_on(algorithm, online, target, batch, None)
    for i in range(BATCH):
        alone = loss_on(algorithm, online, target, row_of(batch, i), None)
        torch.testing.assert_close(alone.per_sample, loss.per_sample[i : i + 1])
        torch.testing.assert_close(alone.priority, loss.priority[i : i + 1])


@every_algorithm
def test_priority_and_metrics_are_detached_and_priority_is_not_negative(
    algorithm: AnyAlgorithm,
) -> None:
    online, target = Network(algorithm, 1), Network(algorithm, 2)
    loss = loss_on(algorithm, online, target, batch_of(), generator_of(3))
    assert not loss.priority.requires_grad
    assert float(loss.priority.min()) >= 0.0
    assert all(m.ndim == 0 and not m.requires_grad for m in loss.metrics.values())


@every_algorithm
def test_q_mean_is_the_mean_of_the_online_networks_best_values(algorithm: AnyAlgorithm) -> None:
    online, target, batch = Network(algorithm, 1), Network(algorithm, 2), batch_of()
    with torch.no_grad():
        best = online(batch.s_tm1).q_values.max(1).values
    loss = loss_on(algorithm, online, target, batch, None)
    torch.testing.assert_close(loss.metrics["q_mean"], best.mean())


@valuing_algorithm
def test_what_follows_counts_if_and_only_if_it_is_discounted(algorithm: ReplayAlgorithm) -> None:
    online, target, batch = Network(algorithm, 1), Network(algorithm, 2), batch_of()
    elsewhere = batch._replace(s_t=3 - batch.s_t)
    nothing, all_of_it = torch.zeros(BATCH), torch.ones(BATCH)

    def losses(batch: Batch, discount_t: Tensor) -> Tensor:
        batch = batch._replace(discount_t=discount_t)
        return algorithm.loss(online, target, batch, generator_of(3)).per_sample

    torch.testing.assert_close(losses(batch, nothing), losses(elsewhere, nothing))
    assert not torch.allclose(losses(batch, all_of_it), losses(elsewhere, all_of_it))


@every_algorithm
def test_chance_comes_from_the_generator_alone(algorithm: AnyAlgorithm) -> None:
    online, target, batch = Network(algorithm, 1), Network(algorithm, 2), batch_of()

    def losses(generator: torch.Generator | None) -> Tensor:
        return loss_on(algorithm, online, target, batch, generator).per_sample

    before = torch.get_rng_state()
    assert torch.equal(losses(generator_of(3)), losses(generator_of(3)))
    assert torch.equal(losses(None), losses(None))
    assert torch.equal(torch.get_rng_state(), before)
    is_random = isinstance(algorithm, (IQN, MunchausenIQN))
    assert torch.equal(losses(generator_of(3)), losses(generator_of(4))) != is_random


@every_algorithm
def test_losses_are_float32_under_bfloat16_arithmetic_and_near_the_exact_ones(
    algorithm: AnyAlgorithm,
) -> None:
    online, target, batch = Network(algorithm, 1), Network(algorithm, 2), batch_of()
    exact = loss_on(algorithm, online, target, batch, generator_of(3)).per_sample
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_on(algorithm, online, target, batch, generator_of(3))
    assert loss.per_sample.dtype == loss.priority.dtype == torch.float32
    torch.testing.assert_close(loss.per_sample, exact, rtol=0.1, atol=0.1)


@every_algorithm
def test_values_are_learned_where_nothing_follows(algorithm: AnyAlgorithm) -> None:
    if isinstance(algorithm, (MunchausenDQN, MunchausenIQN)):
        algorithm = dataclasses.replace(algorithm, alpha=0.0)
    online, target = Network(algorithm, 1), Network(algorithm, 2)
    s = torch.tensor([[2, 0, 0, 0], [0, 2, 0, 0]], dtype=torch.uint8).view(2, 1, 2, 2)
    goals, actions = torch.tensor([1.5, -0.7]), torch.tensor([1, 2])
    batch = Batch(s, actions, goals, torch.zeros(2), s)
    optimizer, generator = torch.optim.Adam(online.parameters(), lr=0.05), generator_of(3)
    for _ in range(250):
        optimizer.zero_grad()
        mean = loss_on(algorithm, online, target, batch, generator).per_sample.mean()
        mean.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        learned = online(s).q_values[torch.arange(2), actions]
    torch.testing.assert_close(learned, goals, rtol=0.0, atol=0.1)
