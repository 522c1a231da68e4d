"""Algorithms of whole distributions against naive models of their papers, and each other."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.c51 import C51
from qcade.algorithms.dqn import DQN
from qcade.algorithms.hl_gauss import HLGauss
from qcade.algorithms.iqn import IQN
from qcade.algorithms.munchausen_iqn import MunchausenIQN
from qcade.algorithms.qr_dqn import QRDQN
from qcade.parts import ReplayAlgorithm, Streams
from qcade.types import Batch, DoubleArray, Loss

BATCH, ACTIONS, FEATURES = 8, 3, 4


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

    def __init__(self, algorithm: ReplayAlgorithm, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = algorithm.head((1, 2, 2), ACTIONS)

    def forward(self, observation: Tensor, generator: torch.Generator | None = None) -> Any:
        return self.head(observation.flatten(1).float() / 2.0, generator)


LINEAR = LinearStreams()


def batch_of(seed: int = 5) -> Batch:
    draws, shape = torch.Generator().manual_seed(seed), (BATCH, 1, 2, 2)
    return Batch(
        s_tm1=torch.randint(4, shape, generator=draws, dtype=torch.uint8),
        a_tm1=torch.randint(ACTIONS, (BATCH,), generator=draws),
        r_t=torch.randn(BATCH, generator=draws),
        discount_t=torch.rand(BATCH, generator=draws) * (torch.arange(BATCH) > 1),
        s_t=torch.randint(4, shape, generator=draws, dtype=torch.uint8),
    )


def softmax(logits: DoubleArray) -> DoubleArray:
    powers = np.exp(logits - logits.max())
    shares: DoubleArray = powers / powers.sum()
    return shares


def networks(
    algorithm: ReplayAlgorithm, generator: torch.Generator | None = None
) -> tuple[Network, Network, Batch, Loss]:
    online, target, batch = Network(algorithm, 1), Network(algorithm, 2), batch_of()
    with torch.no_grad():
        return online, target, batch, algorithm.loss(online, target, batch, generator)


def arrays(values: Any) -> dict[str, DoubleArray]:
    return {k: v.detach().double().numpy() for k, v in values._asdict().items()}


@pytest.mark.parametrize("double", [False, True])
def test_c51_is_the_naive_one(double: bool) -> None:
    algorithm = C51(LINEAR, atoms=5, v_min=-2.0, v_max=2.0, double=double)
    online, target, batch, loss = networks(algorithm)
    tm1, t, chooser = (
        arrays(online(batch.s_tm1)),
        arrays(target(batch.s_t)),
        arrays((online if double else target)(batch.s_t)),
    )
    atoms, differing = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), 0
    for i in range(BATCH):
        action = int(chooser["q_values"][i].argmax())
        differing += action != int(t["q_values"][i].argmax())
        goal = np.zeros(5)
        for z, p in zip(atoms, softmax(t["logits"][i, action]), strict=True):
            place = np.clip(float(batch.r_t[i]) + float(batch.discount_t[i]) * z, -2, 2) + 2
            for atom in range(5):
                goal[atom] += p * max(0.0, 1.0 - abs(place - atom))
        predicted = softmax(tm1["logits"][i, int(batch.a_tm1[i])])
        entropy = -sum(g * np.log(g) for g in goal if g > 0)
        expected = -(goal * np.log(predicted)).sum()
        assert float(loss.per_sample[i]) == pytest.approx(expected, rel=1e-4)
        assert float(loss.priority[i]) == pytest.approx(expected - entropy, rel=1e-3, abs=1e-5)
    # The networks disagree somewhere, or nothing would tell the two apart.
    assert (differing > 0) == double


def test_double_c51_is_c51_where_the_networks_are_equal() -> None:
    online, batch = Network(C51(LINEAR), 1), batch_of()
    single = C51(LINEAR).loss(online, online, batch, None).per_sample
    double = C51(LINEAR, double=True).loss(online, online, batch, None).per_sample
    assert torch.equal(double, single)


def test_hl_gauss_is_the_naive_one() -> None:
    algorithm = HLGauss(LINEAR, bins=8, v_min=-2.0, v_max=2.0, sigma_ratio=0.75)
    online, target, batch, loss = networks(algorithm)
    tm1, t = arrays(online(batch.s_tm1)), arrays(target(batch.s_t))
    for i in range(BATCH):
        action = int(batch.a_tm1[i])
        scalar = float(batch.r_t[i]) + float(batch.discount_t[i]) * t["q_values"][i].max()
        # Bins are 0.5 wide, so that the deviation is 0.375.
        centre = min(max(scalar, -2.0), 2.0)
        edges = np.linspace(-2.0, 2.0, 9)
        below = [math.erf((edge - centre) / (0.375 * math.sqrt(2.0))) for edge in edges]
        goal = np.diff(below) / (below[-1] - below[0])
        expected = -(goal * np.log(softmax(tm1["logits"][i, action]))).sum()
        assert float(loss.per_sample[i]) == pytest.approx(expected, rel=1e-4)
        error = abs(scalar - tm1["q_values"][i, action])
        assert float(loss.priority[i]) == pytest.approx(error, rel=1e-4)


def naive_quantile_loss(
    quantiles: DoubleArray, taus: DoubleArray, goals: DoubleArray, kappa: float
) -> float:
    total = 0.0
    for quantile, tau in zip(quantiles, taus, strict=True):
        for goal in goals:
            u = goal - quantile
            rounded = 0.5 * u * u if abs(u) <= kappa else kappa * (abs(u) - 0.5 * kappa)
            total += abs(tau - (u < 0)) * rounded / kappa / len(goals)
    return total


def test_qr_dqn_is_the_naive_one() -> None:
    algorithm = QRDQN(LINEAR, quantiles=4, kappa=0.5)
    online, target, batch, loss = networks(algorithm)
    tm1, t = arrays(online(batch.s_tm1)), arrays(target(batch.s_t))
    for i in range(BATCH):
        following = t["quantiles"][i, int(t["quantiles"][i].mean(1).argmax())]
        goals = float(batch.r_t[i]) + float(batch.discount_t[i]) * following
        quantiles = tm1["quantiles"][i, int(batch.a_tm1[i])]
        taus = np.array([0.125, 0.375, 0.625, 0.875])
        expected = naive_quantile_loss(quantiles, taus, goals, 0.5)
        assert float(loss.per_sample[i]) == pytest.approx(expected, rel=1e-4)
        assert float(loss.priority[i]) == pytest.approx(expected, rel=1e-4)


def test_one_quantile_is_half_of_deep_q_learning() -> None:
    # Median regression of a single value: the side counts one half, above as below.
    online, target, batch = Network(DQN(LINEAR), 1), Network(DQN(LINEAR), 2), batch_of()
    quantile = QRDQN(LINEAR, quantiles=1)
    medians = [Network(quantile, seed) for seed in (1, 2)]
    scalar = DQN(LINEAR).loss(online, target, batch, None).per_sample
    loss = quantile.loss(medians[0], medians[1], batch, None).per_sample
    torch.testing.assert_close(loss, 0.5 * scalar)


IMPLICIT = {"samples": 6, "policy_samples": 5, "cosines": 3, "kappa": 0.5}


@pytest.mark.parametrize("seed", [None, 3])
def test_iqn_is_the_naive_one_and_chooses_by_fractions_of_its_own(seed: int | None) -> None:
    algorithm = IQN(LINEAR, **IMPLICIT)  # type: ignore[arg-type]
    first, second = (None if seed is None else torch.Generator().manual_seed(seed) for _ in "ab")
    online, target, batch, loss = networks(algorithm, first)
    choosing, t, tm1 = (
        arrays(target(batch.s_t, second)),
        arrays(target(batch.s_t, second)),
        arrays(online(batch.s_tm1, second)),
    )
    for i in range(BATCH):
        following = t["quantiles"][i, int(choosing["q_values"][i].argmax())]
        goals = float(batch.r_t[i]) + float(batch.discount_t[i]) * following
        quantiles = tm1["quantiles"][i, int(batch.a_tm1[i])]
        expected = naive_quantile_loss(quantiles, tm1["taus"][i], goals, 0.5)
        assert float(loss.per_sample[i]) == pytest.approx(expected, rel=1e-4)
        assert float(loss.priority[i]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", [None, 3])
def test_munchausen_iqn_is_the_naive_one(seed: int | None) -> None:
    algorithm = MunchausenIQN(
        LINEAR,
        temperature=0.3,
        alpha=0.8,
        lowest_log_policy=-0.5,
        **IMPLICIT,  # type: ignore[arg-type]
    )
    first, second = (None if seed is None else torch.Generator().manual_seed(seed) for _ in "ab")
    online, target, batch, loss = networks(algorithm, first)
    policy_t, t, policy_tm1, tm1 = (
        arrays(target(batch.s_t, second)),
        arrays(target(batch.s_t, second)),
        arrays(target(batch.s_tm1, second)),
        arrays(online(batch.s_tm1, second)),
    )
    clipped = 0
    for i in range(BATCH):
        action = int(batch.a_tm1[i])
        log_policy = 0.3 * np.log(softmax(policy_tm1["q_values"][i] / 0.3))[action]
        clipped += log_policy < -0.5
        reward = float(batch.r_t[i]) + 0.8 * max(log_policy, -0.5)
        policy = softmax(policy_t["q_values"][i] / 0.3)
        soft = sum(
            p * (t["quantiles"][i, a] - 0.3 * np.log(p)) for a, p in enumerate(policy) if p > 0
        )
        goals = reward + float(batch.discount_t[i]) * soft
        quantiles = tm1["quantiles"][i, action]
        expected = naive_quantile_loss(quantiles, tm1["taus"][i], goals, 0.5)
        errors = np.abs(goals[None, :] - quantiles[:, None]).mean(1).sum()
        assert float(loss.per_sample[i]) == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert float(loss.priority[i]) == pytest.approx(errors, rel=1e-3)
    assert 0 < clipped < BATCH


def test_munchausen_iqn_without_bonus_and_temperature_is_iqn() -> None:
    cold = MunchausenIQN(LINEAR, temperature=1e-5, alpha=0.0, **IMPLICIT)  # type: ignore[arg-type]
    plain = IQN(LINEAR, **IMPLICIT)  # type: ignore[arg-type]
    online, target, batch = Network(plain, 1), Network(plain, 2), batch_of()
    expected = plain.loss(online, target, batch, None).per_sample
    torch.testing.assert_close(cold.loss(online, target, batch, None).per_sample, expected)
    warm = dataclasses.replace(cold, temperature=1.0).loss(online, target, batch, None).per_sample
    assert not torch.allclose(warm, expected, rtol=0.05)


def gradient_of(algorithm: ReplayAlgorithm, batch: Batch) -> Tensor:
    online = Network(algorithm, 1)
    total = algorithm.loss(online, Network(algorithm, 2), batch, None).per_sample.sum()
    (gradient,) = torch.autograd.grad(total, [online.get_parameter("head.streams.weight")])
    return gradient


@pytest.mark.parametrize("algorithm", [C51(LINEAR, atoms=5), HLGauss(LINEAR, bins=5)], ids=repr)
def test_logits_of_the_action_taken_move_against_each_other_and_others_stay(
    algorithm: ReplayAlgorithm,
) -> None:
    # The slope of a logit is what was predicted less the goal: it adds up to 0 over the atoms.
    gradient = gradient_of(algorithm, batch_of())
    nothing = torch.zeros(ACTIONS, FEATURES)
    torch.testing.assert_close(gradient.sum(1), nothing, rtol=0.0, atol=1e-4)
    of_the_first = gradient_of(
        algorithm, batch_of()._replace(a_tm1=torch.zeros(BATCH, dtype=torch.int64))
    )
    assert of_the_first[0].any()
    assert not of_the_first[1:].any()
