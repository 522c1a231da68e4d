"""Optimizers against the papers' formulas, and step sizes that follow the run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.agent.learner import Learner
from qcade.agent.optimizers import Adam, RAdam
from qcade.agent.targets import NoTarget
from qcade.algorithms.dqn import DQN
from qcade.compute.hardware import Hardware
from qcade.networks.heads import ScalarHead
from qcade.networks.q_network import QNetwork
from qcade.networks.streams import Plain
from qcade.parts import OptimizerSpec
from qcade.types import Batch, Progress

from learners import take_over

CPU = Hardware(torch.device("cpu"), torch.float32, 1)


def parameter(values: list[list[float]] | list[float]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


def step(part: OptimizerSpec, *pairs: tuple[nn.Parameter, Tensor], times: int = 1) -> None:
    """Give each parameter its gradient and go so many steps."""
    optimizer = part.build([each for each, _ in pairs])
    for _ in range(times):
        for each, gradient in pairs:
            each.grad = gradient.clone()
        optimizer.step()


def test_the_first_step_of_adam_by_hand() -> None:
    # Of the gradient over its own size plus epsilon: 0.5 / (0.5 + 0.25), -2 / (2 + 0.25), 0.
    weight = parameter([[1.0, 1.0, 1.0]])
    step(Adam(learning_rate=0.1, epsilon=0.25), (weight, torch.tensor([[0.5, -2.0, 0.0]])))
    assert weight[0].tolist() == pytest.approx([1 - 0.1 * 2 / 3, 1 + 0.1 * 8 / 9, 1.0])


def test_the_first_step_with_weight_decay_by_hand() -> None:
    weight, bias = parameter([[4.0, -4.0, 4.0]]), parameter([4.0, -4.0, 4.0])
    gradient = torch.tensor([0.5, -2.0, 0.0])
    part = Adam(learning_rate=0.1, epsilon=0.25, weight_decay=0.5)
    step(part, (weight, gradient[None]), (bias, gradient))
    # Weights lose 0.1 * 0.5 of themselves, whatever the gradient: 4 becomes 3.8.
    moves = [-0.1 * 2 / 3, 0.1 * 8 / 9, 0.0]
    assert weight[0].tolist() == pytest.approx([3.8 + moves[0], -3.8 + moves[1], 3.8])
    assert bias.tolist() == pytest.approx([4 + moves[0], -4 + moves[1], 4.0])


def adam_by_the_paper(
    start: Tensor, gradients: list[Tensor], rate: float, epsilon: float, decay: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    weight = start.detach().numpy().astype(np.float64)
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for t, gradient in enumerate((g.numpy().astype(np.float64) for g in gradients), start=1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        weight = weight - rate * (m_hat / (np.sqrt(v_hat) + epsilon) + decay * weight)
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_many_steps_of_adam_are_those_of_the_paper(decay: float) -> None:
    draws = torch.Generator().manual_seed(1)
    shapes = [(3, 4), (3,), (2, 3, 3, 3), (1, 5), ()]
    weights = [nn.Parameter(torch.randn(shape, generator=draws)) for shape in shapes]
    before = [weight.detach().clone() for weight in weights]
    gradients = [[torch.randn(s, generator=draws) for _ in range(8)] for s in shapes]
    optimizer = Adam(learning_rate=0.03, epsilon=0.01, weight_decay=decay).build(weights)
    for i in range(8):
        for weight, of_all in zip(weights, gradients, strict=True):
            weight.grad = of_all[i].clone()
        optimizer.step()
    for weight, start, of_all in zip(weights, before, gradients, strict=True):
        # Matrices and kernels decay; biases, which have one dimension, and numbers do not.
        its_decay = decay if weight.ndim > 1 else 0.0
        expected = adam_by_the_paper(start, of_all, 0.03, 0.01, its_decay)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_decay_of_weights_without_gradient() -> None:
    weight, bias = parameter([[1.0]]), parameter([1.0])
    part = Adam(learning_rate=0.1, weight_decay=0.5)
    step(part, (weight, torch.zeros(1, 1)), (bias, torch.zeros(1)), times=3)
    assert weight.item() == pytest.approx(0.95**3)
    assert bias.item() == 1.0


def test_the_first_five_steps_of_radam_follow_the_mean_gradient_alone() -> None:
    # Nothing is known of the variance yet: rate times gradient, whatever its size.
    weight = parameter([[1.0, 1.0]])
    step(RAdam(learning_rate=0.01), (weight, torch.tensor([[2.0, -0.5]])), times=5)
    assert weight[0].tolist() == pytest.approx([1 - 5 * 0.02, 1 + 5 * 0.005])


def test_the_sixth_step_of_radam_is_rectified() -> None:
    five, six = parameter([1.0]), parameter([1.0])
    part = RAdam(learning_rate=0.01, epsilon=0.5)
    for weight, times in ((five, 5), (six, 6)):
        step(part, (weight, torch.tensor([2.0])), times=times)
    longest = 2 / (1 - 0.999) - 1
    length = longest - 2 * 6 * 0.999**6 / (1 - 0.999**6)
    rectified = math.sqrt(
        ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length)
    )
    # The second moment is 4 * (1 - 0.999**6) before its correction.
    corrected = math.sqrt(1 - 0.999**6)
    expected = 0.01 * rectified * 2.0 * corrected / (2.0 * corrected + 0.5)
    assert five.item() - six.item() == pytest.approx(expected, rel=1e-3)


def learner_of(optimizer: OptimizerSpec, seed: int = 1) -> Learner:
    torch.manual_seed(seed)
    head = ScalarHead(Plain(hidden=8).build(8, 3, 1))
    return Learner(QNetwork(nn.Identity(), head), DQN(), optimizer, NoTarget(), CPU)


def batch_of(seed: int) -> Batch:
    draws, shape = torch.Generator().manual_seed(seed), (4, 2, 2, 2)
    return Batch(
        s_tm1=torch.randint(256, shape, generator=draws).to(torch.uint8),
        a_tm1=torch.randint(3, (4,), generator=draws),
        r_t=torch.randn(4, generator=draws),
        discount_t=torch.full((4,), 0.9),
        s_t=torch.randint(256, shape, generator=draws).to(torch.uint8),
    )


def flat(module: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def update(learner: Learner, batch: Batch, progress: Progress | None) -> None:
    """Make one update, with the step size of some point of the run if one is given."""
    if progress is not None:
        learner.set_learning_rate(progress)
    learner.update(batch)


def step_over_gradient(part: OptimizerSpec, progress: Progress | None) -> float:
    """How far the first update goes, as a multiple of its gradient: RAdam's step size."""
    learner = learner_of(part)
    before = flat(learner.network)
    update(learner, batch_of(1), progress)
    gradient = torch.cat(
        [p.grad.flatten() for p in learner.network.parameters() if p.grad is not None]
    )
    moved = before - flat(learner.network)
    size = float((moved @ gradient) / gradient.square().sum())
    torch.testing.assert_close(moved, size * gradient, rtol=0.01, atol=1e-6)
    return size


@pytest.mark.parametrize(
    ("decisions", "expected"), [(0, 0.08), (250, 0.06), (900, 0.008), (1_000, 0.0), (1_200, 0.0)]
)
def test_an_annealed_step_falls_along_a_straight_line_to_nothing(
    decisions: int, expected: float
) -> None:
    part = RAdam(learning_rate=0.08, max_gradient_norm=None, anneals=True)
    progress = Progress(decisions, total_decisions=1_000)
    assert part.learning_rate_at(progress) == pytest.approx(expected)
    assert step_over_gradient(part, progress) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "part",
    [
        RAdam(learning_rate=0.08, max_gradient_norm=None),
        RAdam(learning_rate=0.08, max_gradient_norm=None, anneals=True),
    ],
    ids=repr,
)
def test_without_annealing_or_progress_the_step_stays_as_it_was_built(part: RAdam) -> None:
    progress = None if part.anneals else Progress(900, total_decisions=1_000)
    assert step_over_gradient(part, progress) == pytest.approx(0.08, rel=1e-3)


def test_adam_steps_as_far_at_the_end_of_the_run_as_at_its_start() -> None:
    ends = []
    for decisions in (0, 1_000):
        learner = learner_of(Adam(learning_rate=0.01))
        update(learner, batch_of(1), Progress(decisions, total_decisions=1_000))
        ends.append(flat(learner.network))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], flat(learner_of(Adam()).network))


def test_the_step_size_of_every_update_is_that_of_its_own_progress() -> None:
    # From different weights on the same way: the last update asks for the same step size.
    annealed = learner_of(RAdam(learning_rate=0.08, anneals=True))
    constant = learner_of(RAdam(learning_rate=0.02))
    for learner in (annealed, constant):
        update(learner, batch_of(1), Progress(750, total_decisions=1_000))
    assert torch.equal(flat(annealed.network), flat(constant.network))
    for learner in (annealed, constant):
        update(learner, batch_of(2), Progress(500, total_decisions=1_000))
    # 0.04 instead of 0.02.
    assert not torch.allclose(flat(annealed.network), flat(constant.network))


PARTS: list[OptimizerSpec] = [
    Adam(learning_rate=0.01),
    Adam(learning_rate=0.01, weight_decay=0.1),
    RAdam(learning_rate=0.01),
    RAdam(learning_rate=0.01, anneals=True),
]


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_a_restored_optimizer_goes_on_bit_for_bit(part: OptimizerSpec) -> None:
    uninterrupted, resumed = learner_of(part, 1), learner_of(part, 2)

    def advance(learner: Learner, number: int) -> None:
        update(learner, batch_of(number), Progress(number, total_decisions=20))

    # Past RAdam's sixth step, so that all of its memory is in use.
    for number in range(8):
        advance(uninterrupted, number)
    take_over(resumed, uninterrupted)
    for number in range(8, 16):
        before = flat(resumed.network)
        advance(uninterrupted, number)
        advance(resumed, number)
        assert torch.equal(flat(uninterrupted.network), flat(resumed.network))
        assert not torch.equal(flat(resumed.network), before)
