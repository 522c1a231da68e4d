"""Every algorithm on a linear network whose gradients can be written down by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.double_dqn import DoubleDQN
from qcade.algorithms.dqn import DQN
from qcade.algorithms.tutorial import TutorialDQN
from qcade.networks.heads import ScalarValues
from qcade.types import Algorithm, Batch, FloatArray

ALGORITHMS: list[Algorithm] = [
    DQN(),
    DQN(error="squared"),
    DoubleDQN(),
    DoubleDQN(error="squared"),
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

    def forward(self, observation: Tensor) -> ScalarValues:
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
    algorithm: Algorithm, online: LinearQ, target: LinearQ, batch: Batch
) -> tuple[FloatArray, FloatArray]:
    """Errors [B] and gradient [A, F] of the summed loss, goals held fixed, in plain numpy."""
    w, w_target = online.weight.detach().numpy(), target.weight.detach().numpy()
    errors, gradient = np.zeros(len(batch.r_t), np.float32), np.zeros_like(w)
    squares = isinstance(algorithm, TutorialDQN) or getattr(algorithm, "error", "") == "squared"
    for i in range(len(errors)):
        x, x_t = batch.s_tm1[i].flatten().numpy(), batch.s_t[i].flatten().numpy()
        action = int(batch.a_tm1[i])
        chooser = w if isinstance(algorithm, DoubleDQN) else w_target
        following = (w_target @ x_t)[int(np.argmax(chooser @ x_t))]
        goal = float(batch.r_t[i]) + float(batch.discount_t[i]) * following
        errors[i] = goal - w[action] @ x
        slope = errors[i] if squares else np.clip(errors[i], -1, 1)
        gradient[action] -= slope * x
    return errors, gradient


def gradients(
    algorithm: Algorithm, online: LinearQ, target: LinearQ, batch: Batch
) -> tuple[Tensor, Tensor | None]:
    total = algorithm.loss(online, target, batch).per_sample.sum()
    of_online, of_target = torch.autograd.grad(
        total, [online.weight, target.weight], allow_unused=True
    )
    assert of_online is not None
    return of_online, of_target


@every_algorithm
def test_gradient_is_the_one_written_by_hand_and_none_reaches_the_target(
    algorithm: Algorithm,
) -> None:
    online, target, batch = LinearQ(1), LinearQ(2), batch_of()
    of_online, of_target = gradients(algorithm, online, target, batch)
    _, expected = by_hand(algorithm, online, target, batch)
    np.testing.assert_allclose(of_online.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert of_target is None


@every_algorithm
def test_no_gradient_flows_through_the_goal_even_if_the_online_network_makes_it(
    algorithm: Algorithm,
) -> None:
    online, batch = LinearQ(1), batch_of()
    (gradient,) = torch.autograd.grad(
        algorithm.loss(online, online, batch).per_sample.sum(), [online.weight]
    )
    _, expected = by_hand(algorithm, online, online, batch)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4, atol=1e-5)


@every_algorithm
def test_each_sample_has_its_own_loss_whatever_else_is_in_the_batch(algorithm: Algorithm) -> None:
    online, target, batch = LinearQ(1), LinearQ(2), batch_of()
    loss = algorithm.loss(online, target, batch)
    assert loss.per_sample.shape == loss.priority.shape == (BATCH,)
    for i in range(BATCH):
        alone = algorithm.loss(online, target, Batch(*(part[i : i + 1] for part in batch)))
        torch.testing.assert_close(alone.per_sample[0], loss.per_sample[i])


@every_algorithm
def test_priority_is_the_size_of_the_error_and_carries_no_gradient(algorithm: Algorithm) -> None:
    online, target, batch = LinearQ(1), LinearQ(2), batch_of()
    loss = algorithm.loss(online, target, batch)
    errors, _ = by_hand(algorithm, online, target, batch)
    np.testing.assert_allclose(loss.priority.numpy(), np.abs(errors), rtol=1e-4, atol=1e-5)
    assert not loss.priority.requires_grad
    assert not any(metric.requires_grad for metric in loss.metrics.values())


@every_algorithm
def test_q_mean_is_the_mean_of_the_best_values(algorithm: Algorithm) -> None:
    online, batch = LinearQ(1), batch_of()
    best = online(batch.s_tm1).q_values.max(1).values
    torch.testing.assert_close(
        algorithm.loss(online, LinearQ(2), batch).metrics["q_mean"], best.mean().detach()
    )


@every_algorithm
def test_without_discount_what_follows_is_of_no_account(algorithm: Algorithm) -> None:
    online, target = LinearQ(1), LinearQ(2)
    batch = batch_of()._replace(discount_t=torch.zeros(BATCH))
    elsewhere = batch._replace(s_t=255 - batch.s_t)
    loss = algorithm.loss(online, target, batch).per_sample
    assert torch.equal(loss, algorithm.loss(online, target, elsewhere).per_sample)
    bootstrapped = elsewhere._replace(discount_t=torch.ones(BATCH))
    assert not torch.equal(loss, algorithm.loss(online, target, bootstrapped).per_sample)


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
        (DoubleDQN(), 2 - 0.5),
        (DoubleDQN(error="squared"), 0.5 * 2**2),
    ],
    ids=repr,
)
def test_an_error_of_two_by_hand(algorithm: Algorithm, expected: float) -> None:
    network, batch = one_sample([3.0, -2.0, 0.5])
    assert algorithm.loss(network, network, batch).per_sample.tolist() == [expected]


def test_the_misprint_draws_untaken_values_to_zero_and_the_repair_leaves_them() -> None:
    network, batch = one_sample([3.0, -2.0, 0.5])
    repaired, _ = gradients(TutorialDQN(), network, LinearQ(2), batch)
    printed, _ = gradients(TutorialDQN(untaken_actions="towards-zero"), network, LinearQ(2), batch)
    assert repaired[:, 0].tolist() == [2.0, 0.0, 0.0]
    assert printed[:, 0].tolist() == [2.0, -2.0, 0.5]


def test_the_softmax_misprint_squashes_the_values_that_the_repair_gives() -> None:
    features = 5 * torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    repaired, printed = (TutorialDQN(output=o).head(6, 4) for o in ("linear", "softmax"))
    printed.load_state_dict(repaired.state_dict())
    values = repaired(features).q_values.detach().numpy()
    powers = np.exp(values)
    shares = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(printed(features).q_values.detach().numpy(), shares, rtol=1e-4)
    # Returns below 0 can be told by the one and not by the other.
    assert values.min() < 0 < shares.min()
