"""Every algorithm on a linear network whose gradients can be written down by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.dqn import DQN
from qcade.algorithms.munchausen_dqn import MunchausenDQN
from qcade.algorithms.pqn import PQN
from qcade.algorithms.tutorial import TutorialDQN
from qcade.networks.heads import ScalarValues
from qcade.parts import ReplayAlgorithm
from qcade.types import Batch, FloatArray, Minibatch

ALGORITHMS: list[ReplayAlgorithm] = [
    DQN(),
    DQN(error="squared"),
    DQN(double=True),
    DQN(double=True, error="squared"),
    TutorialDQN(),
]
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=repr)
BATCH, ACTIONS, FEATURES = 5, 3, 4


class LinearQ(nn.Module):
    """q = W x, so that the slope of q(a) is x in row a."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(ACTIONS, FEATURES, generator=generator))

    def forward(
        self, observation: Tensor, generator: torch.Generator | None = None
    ) -> ScalarValues:
        return ScalarValues(observation.flatten(1).float() @ self.weight.T)


def batch_of(size: int = BATCH) -> Batch:
    generator = torch.Generator().manual_seed(5)
    shape = (size, 1, 2, 2)
    return Batch(
        s_tm1=torch.randint(4, shape, generator=generator, dtype=torch.uint8),
        a_tm1=torch.randint(ACTIONS, (size,), generator=generator),
        r_t=torch.randn(size, generator=generator),
        discount_t=torch.rand(size, generator=generator),
        s_t=torch.randint(4, shape, generator=generator, dtype=torch.uint8),
    )


def by_hand(
    algorithm: ReplayAlgorithm, online: LinearQ, target: LinearQ, batch: Batch
) -> tuple[FloatArray, FloatArray]:
    """Errors [B] and gradient [A, F] of the summed loss, goals held fixed, in plain numpy."""
    w, w_target = online.weight.detach().numpy(), target.weight.detach().numpy()
    errors, gradient = np.zeros(len(batch.r_t), np.float32), np.zeros_like(w)
    squares = isinstance(algorithm, TutorialDQN) or getattr(algorithm, "error", "") == "squared"
    for i in range(len(errors)):
        x, x_t = batch.s_tm1[i].flatten().numpy(), batch.s_t[i].flatten().numpy()
        action = int(batch.a_tm1[i])
        chooser = w if getattr(algorithm, "double", False) else w_target
        following = (w_target @ x_t)[int(np.argmax(chooser @ x_t))]
        goal = float(batch.r_t[i]) + float(batch.discount_t[i]) * following
        errors[i] = goal - w[action] @ x
        slope = errors[i] if squares else np.clip(errors[i], -1, 1)
        gradient[action] -= slope * x
    return errors, gradient


def gradients(
    algorithm: ReplayAlgorithm, online: LinearQ, target: LinearQ, batch: Batch
) -> tuple[Tensor, Tensor | None]:
    total = algorithm.loss(online, target, batch, None).per_sample.sum()
    of_online, of_target = torch.autograd.grad(
        total, [online.weight, target.weight], allow_unused=True
    )
    assert of_online is not None
    return of_online, of_target


@every_algorithm
def test_gradient_is_the_one_written_by_hand_and_none_reaches_the_target(
    algorithm: ReplayAlgorithm,
) -> None:
    online, target, batch = LinearQ(1), LinearQ(2), batch_of()
    of_online, of_target = gradients(algorithm, online, target, batch)
    _, expected = by_hand(algorithm, online, target, batch)
    np.testing.assert_allclose(of_online.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert of_target is None


@every_algorithm
def test_priority_is_the_size_of_the_error_and_carries_no_gradient(
    algorithm: ReplayAlgorithm,
) -> None:
    online, target, batch = LinearQ(1), LinearQ(2), batch_of()
    loss = algorithm.loss(online, target, batch, None)
    errors, _ = by_hand(algorithm, online, target, batch)
    np.testing.assert_allclose(loss.priority.numpy(), np.abs(errors), rtol=1e-4, atol=1e-5)
    assert not loss.priority.requires_grad
    assert not any(metric.requires_grad for metric in loss.metrics.values())


def one_sample(values: list[float]) -> tuple[LinearQ, Batch]:
    """A network that gives these values for every action, and a goal of 1 for the first one."""
    network = LinearQ(1)
    network.weight.data = torch.tensor(values)[:, None] * torch.eye(FEATURES)[0]
    s = torch.tensor([[[[1, 0], [0, 0]]]], dtype=torch.uint8)
    nothing = torch.zeros(1)
    return network, Batch(s, torch.tensor([0]), torch.ones(1), nothing, s)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (TutorialDQN(), 0.5 * 2**2),
        (TutorialDQN(untaken_actions="towards-zero"), 0.5 * (2**2 + 2**2 + 0.5**2)),
        (DQN(), 2 - 0.5),
        (DQN(error="squared"), 0.5 * 2**2),
        (DQN(double=True), 2 - 0.5),
        (DQN(double=True, error="squared"), 0.5 * 2**2),
    ],
    ids=repr,
)
def test_an_error_of_two_by_hand(algorithm: ReplayAlgorithm, expected: float) -> None:
    network, batch = one_sample([3.0, -2.0, 0.5])
    assert algorithm.loss(network, network, batch, None).per_sample.tolist() == [expected]


def test_munchausen_adds_the_clipped_log_policy_of_the_target_network_by_hand() -> None:
    online, batch = one_sample([0.0, 0.0, 0.0])
    # Temperature 1, values log(2), log(1), log(1): the policy is 1/2, 1/4, 1/4.
    target, _ = one_sample([math.log(2.0), 0.0, 0.0])
    batch = Batch(
        batch.s_tm1.repeat(3, 1, 1, 1),
        torch.tensor([0, 1, 1]),
        torch.tensor([1.0, 1.0, -1.0]),
        torch.tensor([0.5, 0.0, 0.5]),
        batch.s_t.repeat(3, 1, 1, 1),
    )
    algorithm = MunchausenDQN(error="squared", temperature=1.0, alpha=0.5, lowest_log_policy=-1.0)
    loss = algorithm.loss(online, target, batch, None)
    # log(1/2) = -0.6931 counts, log(1/4) = -1.3863 is clipped to -1; what follows is
    # log(2 + 1 + 1) = 1.3863, at a discount of a half. The online network says 0.
    goals = [1 - 0.5 * 0.6931 + 0.5 * 1.3863, 1 - 0.5 * 1, -1 - 0.5 * 1 + 0.5 * 1.3863]
    assert loss.priority.tolist() == pytest.approx([abs(g) for g in goals], abs=1e-4)
    assert loss.per_sample.tolist() == pytest.approx([0.5 * g**2 for g in goals], abs=1e-4)
    bonuses = [-0.5 * 0.6931, -0.5, -0.5]
    assert float(loss.metrics["bonus_mean"]) == pytest.approx(sum(bonuses) / 3, abs=1e-4)


def test_munchausen_without_bonus_and_temperature_is_deep_q_learning() -> None:
    online, target, batch = LinearQ(1), LinearQ(2), batch_of()
    cold = MunchausenDQN(temperature=1e-5, alpha=0.0).loss(online, target, batch, None)
    expected = DQN().loss(online, target, batch, None)
    torch.testing.assert_close(cold.per_sample, expected.per_sample)
    warm = MunchausenDQN(temperature=1.0, alpha=0.0).loss(online, target, batch, None)
    assert not torch.allclose(warm.per_sample, expected.per_sample, rtol=0.05)


def test_pqn_regresses_to_its_returns_by_hand() -> None:
    network, batch = one_sample([3.0, -2.0, 0.5])
    minibatch = Minibatch(batch.s_tm1, batch.a_tm1, returns=batch.r_t)
    loss = PQN().loss(network, minibatch, None)
    assert loss.per_sample.tolist() == [0.5 * 2**2]
    assert loss.priority.tolist() == [2.0]
    total = loss.per_sample.sum()
    (gradient,) = torch.autograd.grad(total, [network.weight])
    assert gradient[:, 0].tolist() == [2.0, 0.0, 0.0]


def test_the_misprint_draws_untaken_values_to_zero_and_the_repair_leaves_them() -> None:
    network, batch = one_sample([3.0, -2.0, 0.5])
    repaired, _ = gradients(TutorialDQN(), network, LinearQ(2), batch)
    printed, _ = gradients(TutorialDQN(untaken_actions="towards-zero"), network, LinearQ(2), batch)
    assert repaired[:, 0].tolist() == [2.0, 0.0, 0.0]
    assert printed[:, 0].tolist() == [2.0, -2.0, 0.5]


def test_the_softmax_misprint_squashes_the_values_that_the_repair_gives() -> None:
    features = 5 * torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    repaired, printed = (TutorialDQN(output=o).head((3, 2, 1), 4) for o in ("linear", "softmax"))
    printed.load_state_dict(repaired.state_dict())
    values = repaired(features).q_values.detach().numpy()
    powers = np.exp(values)
    shares = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(printed(features).q_values.detach().numpy(), shares, rtol=1e-4)
    # Returns below 0 can be told by the one and not by the other.
    assert values.min() < 0 < shares.min()
