"""Losses and slopes against RLax, where it is installed (`pip install qcade[reference]`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.c51 import C51
from qcade.algorithms.dqn import DQN
from qcade.algorithms.losses import double_q_learning_target, taken
from qcade.algorithms.losses_quantile import quantile_huber, quantile_td_targets
from qcade.algorithms.qr_dqn import QRDQN
from qcade.algorithms.returns import peng_returns, watkins_returns
from qcade.networks.heads import CategoricalHead, QuantileHead, ScalarHead
from qcade.parts import ReplayAlgorithm
from qcade.types import Batch, Rollout

jax: Any = pytest.importorskip("jax")
rlax: Any = pytest.importorskip("rlax")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

BATCH, ACTIONS, VALUES = 64, 4, 11
DRAWS = torch.Generator().manual_seed(7)
A_TM1 = torch.randint(ACTIONS, (BATCH,), generator=DRAWS)
# Whole numbers among the rewards and no discount now and then, so that returns fall on atoms.
R_T = (2 * torch.randn(BATCH, generator=DRAWS)).round(decimals=0)
R_T[::2] += torch.randn(BATCH // 2, generator=DRAWS)
DISCOUNT_T = torch.rand(BATCH, generator=DRAWS) * (torch.arange(BATCH) % 3 > 0)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Table(nn.Module):
    """Streams whose values of the n-th observation, [A, N], are weights of their own."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.values[features[:, 0].long()]


class Network(nn.Module):
    """A head on a table of values."""

    def __init__(self, table: Tensor, make_head: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.table = Table(table)
        self.head = make_head(self.table)

    def forward(self, observation: Tensor, generator: torch.Generator | None = None) -> Any:
        return self.head(observation.flatten(1).float(), generator)


# Observations are numbers: those acted on come first, those that followed after them.
NUMBERS = torch.arange(2 * BATCH, dtype=torch.uint8).view(2, BATCH, 1, 1, 1)
BATCH_OF_NUMBERS = Batch(NUMBERS[0], A_TM1, R_T, DISCOUNT_T, NUMBERS[1])


def ours(
    algorithm: ReplayAlgorithm,
    make_head: Callable[[nn.Module], nn.Module],
    online: Tensor,
    target: Tensor,
) -> tuple[Tensor, Tensor]:
    """Losses [B], and their slopes in the values of what was acted on, [B, A, N]."""
    network = Network(online, make_head)
    loss = algorithm.loss(network, Network(target, make_head), BATCH_OF_NUMBERS, None)
    (slopes,) = torch.autograd.grad(loss.per_sample.sum(), [network.table.values])
    assert not slopes[BATCH:].any()
    return loss.per_sample.detach(), slopes[:BATCH]


def theirs(loss: Callable[..., Any], q_tm1: Tensor, *others: Tensor) -> tuple[Any, Any]:
    """RLax's losses [B] of one row after the other, and their slopes in the first argument."""
    rows = [part.detach().numpy() for part in (q_tm1, *others)]
    return jax.vmap(loss)(*rows), jax.vmap(jax.grad(loss))(*rows)


def agree(mine: tuple[Tensor, Tensor], reference: tuple[Any, Any]) -> None:
    for one, other in zip(mine, reference, strict=True):
        np.testing.assert_allclose(one.numpy(), np.asarray(other), rtol=1e-4, atol=1e-5)


def test_q_learning() -> None:
    online, target = 2 * drawn(1, 2 * BATCH, ACTIONS, 1), 2 * drawn(2, 2 * BATCH, ACTIONS, 1)
    reference = theirs(
        lambda q, a, r, d, q_t: 0.5 * rlax.q_learning(q[:, 0], a, r, d, q_t[:, 0]) ** 2,
        *(online[:BATCH], A_TM1, R_T, DISCOUNT_T, target[BATCH:]),
    )
    agree(ours(DQN(error="squared"), ScalarHead, online, target), reference)


def test_double_q_learning() -> None:
    online, target = 2 * drawn(3, 2 * BATCH, ACTIONS, 1), 2 * drawn(4, 2 * BATCH, ACTIONS, 1)
    reference = theirs(
        lambda q, a, r, d, v, s: rlax.huber_loss(
            rlax.double_q_learning(q[:, 0], a, r, d, v[:, 0], s[:, 0]), 1.0
        ),
        *(online[:BATCH], A_TM1, R_T, DISCOUNT_T, target[BATCH:], online[BATCH:]),
    )
    agree(ours(DQN(double=True), ScalarHead, online, target), reference)


ATOMS = torch.linspace(-5.0, 5.0, VALUES)


def categorical_head(streams: nn.Module) -> nn.Module:
    return CategoricalHead(streams, ATOMS)


def test_categorical_q_learning() -> None:
    online, target = drawn(5, 2 * BATCH, ACTIONS, VALUES), drawn(6, 2 * BATCH, ACTIONS, VALUES)
    atoms = ATOMS.numpy()
    reference = theirs(
        lambda q, a, r, d, q_t: rlax.categorical_q_learning(atoms, q, a, r, d, atoms, q_t),
        *(online[:BATCH], A_TM1, R_T, DISCOUNT_T, target[BATCH:]),
    )
    agree(ours(C51(), categorical_head, online, target), reference)


def test_categorical_double_q_learning() -> None:
    online, target = drawn(7, 2 * BATCH, ACTIONS, VALUES), drawn(8, 2 * BATCH, ACTIONS, VALUES)
    atoms, selector = ATOMS.numpy(), (online[BATCH:].softmax(2) * ATOMS).sum(2)
    reference = theirs(
        lambda q, a, r, d, q_t, s: rlax.categorical_double_q_learning(
            atoms, q, a, r, d, atoms, q_t, s
        ),
        *(online[:BATCH], A_TM1, R_T, DISCOUNT_T, target[BATCH:], selector),
    )
    agree(ours(C51(double=True), categorical_head, online, target), reference)


@pytest.mark.parametrize("kappa", [1.0, 0.3])
def test_quantile_q_learning(kappa: float) -> None:
    online, target = drawn(9, 2 * BATCH, ACTIONS, VALUES), drawn(10, 2 * BATCH, ACTIONS, VALUES)
    taus = (torch.arange(VALUES).float() + 0.5).numpy() / VALUES

    def loss(q: Any, a: Any, r: Any, d: Any, q_t: Any) -> Any:
        # RLax does not divide by kappa, and has the quantiles in front.
        return rlax.quantile_q_learning(q.T, taus, a, r, d, q_t.T, q_t.T, kappa) / kappa

    reference = theirs(loss, online[:BATCH], A_TM1, R_T, DISCOUNT_T, target[BATCH:])
    agree(ours(QRDQN(kappa=kappa), QuantileHead, online, target), reference)


def test_implicit_quantile_q_learning() -> None:
    samples, goal_samples = 6, 9
    quantiles = drawn(11, BATCH, ACTIONS, samples).requires_grad_()
    taus = torch.rand(BATCH, samples, generator=torch.Generator().manual_seed(1))
    selector, following = drawn(12, BATCH, ACTIONS, 5), drawn(13, BATCH, ACTIONS, goal_samples)
    quantiles_t = taken(following, selector.mean(2).argmax(1))
    goals = quantile_td_targets(R_T, DISCOUNT_T, quantiles_t)
    loss = quantile_huber(taken(quantiles, A_TM1), taus, goals, 1.0)
    (slopes,) = torch.autograd.grad(loss.sum(), [quantiles])
    reference = theirs(
        lambda q, tau, a, r, d, s, q_t: rlax.quantile_q_learning(
            q.T, tau, a, r, d, s.T, q_t.T, 1.0
        ),
        *(quantiles, taus, A_TM1, R_T, DISCOUNT_T, selector, following),
    )
    agree((loss.detach(), slopes), reference)


@pytest.mark.parametrize("trace_decay", [0.0, 0.65, 1.0])
@pytest.mark.parametrize("returns", [peng_returns, watkins_returns])
def test_q_lambda(returns: Callable[[Rollout, float], Tensor], trace_decay: float) -> None:
    steps, environments, draws = 12, 5, torch.Generator().manual_seed(1)
    q_values = drawn(14, steps + 1, environments, ACTIONS)
    rollout = Rollout(
        q_values,
        torch.randint(ACTIONS, (steps, environments), generator=draws),
        drawn(15, steps, environments),
        0.9 * (torch.rand(steps, environments, generator=draws) > 0.2).float(),
        torch.ones(steps, environments, dtype=torch.bool),
    )
    greedy = q_values.argmax(2)[1:-1] == rollout.a_tm1[1:]
    follows = torch.ones_like(greedy) if returns is peng_returns else greedy
    # The trace of the last step leads to the value of the last observation either way.
    traces = torch.cat([trace_decay * follows.float(), torch.ones(1, environments)])
    played = (q_values[:-1], rollout.a_tm1, rollout.r_t, rollout.discount_t, q_values[1:], traces)
    errors = jax.vmap(rlax.q_lambda, in_axes=1, out_axes=1)(*(part.numpy() for part in played))
    chosen = q_values[:-1].gather(2, rollout.a_tm1[:, :, None]).squeeze(2)
    np.testing.assert_allclose(
        (returns(rollout, trace_decay) - chosen).numpy(), np.asarray(errors), rtol=1e-4, atol=1e-5
    )


def test_double_targets_choose_as_rlax_does_where_values_are_equal() -> None:
    selector = torch.zeros(1, ACTIONS)
    values = torch.arange(float(ACTIONS))[None]
    goal = double_q_learning_target(torch.zeros(1), torch.ones(1), values, selector)
    nothing = np.zeros(ACTIONS, np.float32)
    reference = rlax.double_q_learning(nothing, 0, 0.0, 1.0, values[0].numpy(), nothing)
    assert float(goal) == float(reference)
