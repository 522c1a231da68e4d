"""Self-prediction against the same loss worked out step by step, and what it leaves alone."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.c51 import C51
from qcade.algorithms.dqn import DQN
from qcade.algorithms.iqn import IQN
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.networks.layers import before_relu
from qcade.networks.q_network import QNetwork, build_q_network
from qcade.networks.streams import Dueling, Plain, SharedDueling
from qcade.networks.torsos.renormalized import Renormalized
from qcade.parts import ReplayAlgorithm, Torso
from qcade.types import Batch, Future, QcadeError

BATCH, ACTIONS, STEPS, PIXELS = 4, 3, 3, 12
SHAPE = (2, PIXELS, PIXELS)
FEWER_AND_FEWER = [[True] * 3, [True, True, False], [True, False, False], [False] * 3]
"""Whether steps are still inside the episode."""


@dataclass(frozen=True)
class Tiny(Torso):
    """One convolution: 2 frames of 12x12 become 5 maps of 4x4."""

    def build(self, stack: int, height: int, width: int) -> nn.Module:
        return nn.Sequential(before_relu(nn.Conv2d(stack, 5, 3, 3)), nn.ReLU())


class Remembering(nn.Module):
    """A torso that keeps what it was asked."""

    def __init__(self, torso: nn.Module) -> None:
        super().__init__()
        self.torso, self.asked = torso, list[Tensor]()

    def forward(self, observations: Tensor) -> Tensor:
        self.asked.append((255 * observations).round())
        maps: Tensor = self.torso(observations)
        return maps


double_c51 = partial(C51, atoms=7, double=True)

SIMPLE = DQN(Plain(hidden=8))
BASES: list[ReplayAlgorithm] = [
    SIMPLE,
    double_c51(Dueling(hidden=6)),
    double_c51(SharedDueling(hidden=10)),
    double_c51(Dueling(hidden=6, noisy_sigma=0.5)),
    double_c51(SharedDueling(hidden=10, normalization="layer", noisy_sigma=0.5)),
    IQN(Plain(hidden=8), samples=4, policy_samples=4, cosines=4),
]
every_base = pytest.mark.parametrize("base", BASES, ids=repr)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of(base: ReplayAlgorithm, weight: float = 5.0) -> SelfPredictive:
    return SelfPredictive(base, steps=STEPS, weight=weight)


def still(algorithm: SelfPredictive) -> SelfPredictive:
    """The same without augmentation, whatever the generator."""
    return dataclasses.replace(algorithm, shift_pixels=0, intensity=0.0)


def network(algorithm: ReplayAlgorithm, seed: int) -> QNetwork:
    built = build_q_network(Renormalized(Tiny()), algorithm, SHAPE, ACTIONS, seed)
    with torch.no_grad():
        # Biases are 0 at first, and would not be missed.
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator(seed)))
    return built


def batch_of(inside: list[list[bool]] | None = None, seed: int = 1) -> Batch:
    draws = generator(seed)

    def pictures(*sizes: int) -> Tensor:
        return torch.randint(256, (*sizes, *SHAPE), generator=draws).to(torch.uint8)

    actions = torch.randint(ACTIONS, (BATCH, STEPS), generator=draws)
    everything = [[True] * STEPS] * BATCH
    return Batch(
        s_tm1=pictures(BATCH),
        a_tm1=actions[:, 0],
        r_t=torch.randn(BATCH, generator=draws),
        discount_t=torch.tensor([0.9, 0.9, 0.0, 0.5]),
        s_t=pictures(BATCH),
        future=Future(actions, pictures(BATCH, STEPS), torch.tensor(inside or everything)),
    )


def case_of(
    base: ReplayAlgorithm, inside: list[list[bool]] | None = None, weight: float = 5.0
) -> tuple[SelfPredictive, Batch, QNetwork, QNetwork]:
    """Self-prediction beside a base, with a batch, an online network and a target network."""
    algorithm = of(base, weight)
    return algorithm, batch_of(inside), network(algorithm, 1), network(algorithm, 2)


def projected(net: QNetwork, maps: Tensor) -> Tensor:
    """What the mean weights of all hidden layers, the value's first, make of maps."""
    head: Any = net.head
    streams = head.base.streams
    parts = [streams.value, streams.advantage] if hasattr(streams, "value") else [streams]
    layers = [part.first.linear for part in parts]
    return torch.cat([maps.flatten(1) @ layer.weight.T + layer.bias for layer in layers], 1)


def distances(online: QNetwork, target: QNetwork, batch: Batch) -> Tensor:
    """2 - 2 cos between predictions and what came, [B, K], one observation at a time."""
    assert batch.future is not None
    rows, head = [], cast(Any, online.head)
    for i in range(BATCH):
        maps, row = online.torso(batch.s_tm1[i : i + 1] / 255.0), []
        for k in range(STEPS):
            maps = head.transition(maps, batch.future.actions[i : i + 1, k])
            predicted = projected(online, maps) @ head.predictor.weight.T + head.predictor.bias
            after = target.torso(batch.future.observations[i, k][None] / 255.0)
            came = projected(target, after).detach()
            cosine = (predicted * came).sum() / (predicted.norm() * came.norm())
            row.append(2.0 - 2.0 * cosine)
        rows.append(torch.stack(row))
    return torch.stack(rows)


@every_base
def test_the_added_loss_is_that_of_predicting_step_by_step(base: ReplayAlgorithm) -> None:
    algorithm, batch, online, target = case_of(base, weight=3.0)
    alone = base.loss(online, target, batch._replace(future=None), None)
    loss = algorithm.loss(online, target, batch, None)
    expected = distances(online, target, batch)
    # Far from 0, and no two steps alike.
    assert float(expected.min().detach()) > 0.1
    assert float(expected.std(1).min().detach()) > 1e-3
    torch.testing.assert_close(loss.per_sample - alone.per_sample, 3.0 * expected.mean(1))


@every_base
@pytest.mark.parametrize("random", [None, 3])
def test_priority_and_metrics_are_those_of_the_base(
    base: ReplayAlgorithm, random: int | None
) -> None:
    algorithm, batch = still(of(base)), batch_of()
    online, target = network(algorithm, 1), network(algorithm, 2)
    unweighted = still(of(base, weight=0.0))
    first, second = (None if random is None else generator(random) for _ in range(2))
    loss = algorithm.loss(online, target, batch, first)
    alone = unweighted.loss(online, target, batch, second)
    if random is None:
        alone = base.loss(online, target, batch._replace(future=None), None)
    assert torch.equal(loss.priority, alone.priority)
    assert not loss.priority.requires_grad
    for name, value in alone.metrics.items():
        assert torch.equal(loss.metrics[name], value)


def test_the_record_says_how_well_it_predicts() -> None:
    algorithm, batch, online, target = case_of(SIMPLE)
    metric = algorithm.loss(online, target, batch, None).metrics["self_prediction"]
    torch.testing.assert_close(metric, distances(online, target, batch).mean().detach())
    assert metric.ndim == 0
    assert not metric.requires_grad


def test_steps_outside_the_episode_count_nothing_and_the_mean_is_over_all() -> None:
    algorithm, batch, online, target = case_of(SIMPLE, FEWER_AND_FEWER)
    alone = algorithm.base.loss(online, target, batch._replace(future=None), None)
    loss = algorithm.loss(online, target, batch, None)
    each = distances(online, target, batch)
    expected = [
        (each[0, 0] + each[0, 1] + each[0, 2]) / 3,
        (each[1, 0] + each[1, 1]) / 3,
        each[2, 0] / 3,
        torch.tensor(0.0),
    ]
    torch.testing.assert_close(loss.per_sample - alone.per_sample, 5.0 * torch.stack(expected))
    assert torch.equal(loss.per_sample[3], alone.per_sample[3])


def test_what_is_outside_changes_neither_loss_nor_gradient() -> None:
    batch = batch_of(FEWER_AND_FEWER)
    assert batch.future is not None
    outside = ~batch.future.inside
    actions, observations = batch.future.actions.clone(), batch.future.observations.clone()
    actions[outside] = (actions[outside] + 1) % ACTIONS
    observations[outside] = 255 - observations[outside]
    other = batch._replace(future=Future(actions, observations, batch.future.inside))
    algorithm = of(double_c51(Dueling(hidden=6)))
    target = network(algorithm, 2)
    found = []
    for each in (batch, other):
        online = network(algorithm, 1)
        loss = algorithm.loss(online, target, each, None)
        loss.per_sample.sum().backward()  # type: ignore[no-untyped-call]
        found.append((loss.per_sample, [p.grad for p in online.parameters()]))
    torch.testing.assert_close(found[0], found[1])


def test_blank_features_are_no_nearer_than_any_and_break_no_gradient() -> None:
    algorithm, batch = of(SIMPLE), batch_of()
    online = build_q_network(Renormalized(Tiny()), algorithm, SHAPE, ACTIONS, seed=1)
    target = copy.deepcopy(online)
    assert batch.future is not None
    # New networks, without biases yet, make nothing of black pictures.
    black = batch.future._replace(observations=torch.zeros_like(batch.future.observations))
    loss = algorithm.loss(online, target, batch._replace(future=black), None)
    assert float(loss.metrics["self_prediction"]) == 2.0
    all_black = Batch(torch.zeros_like(batch.s_tm1), *batch[1:5], black)
    loss = algorithm.loss(online, target, all_black, None)
    loss.per_sample.sum().backward()  # type: ignore[no-untyped-call]
    for parameter in online.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())


def test_actions_of_every_step_matter() -> None:
    algorithm, batch, online, target = case_of(SIMPLE)
    before = algorithm.loss(online, target, batch, None).per_sample
    for k in range(STEPS):
        assert batch.future is not None
        actions = batch.future.actions.clone()
        actions[:, k] = (actions[:, k] + 1) % ACTIONS
        other = batch._replace(future=batch.future._replace(actions=actions))
        after = algorithm.loss(online, target, other, None).per_sample
        assert float((after - before).abs().min().detach()) > 1e-4


@every_base
@pytest.mark.parametrize("has_target", [True, False])
def test_gradients_reach_what_predicts_and_never_what_is_predicted(
    base: ReplayAlgorithm, has_target: bool
) -> None:
    algorithm, batch, online, target = case_of(base)
    target = target if has_target else online
    alone = base.loss(online, target, batch._replace(future=None), None).per_sample
    added = (algorithm.loss(online, target, batch, None).per_sample - alone).sum()
    parameters = dict(online.named_parameters())
    gradients = torch.autograd.grad(added, list(parameters.values()), allow_unused=True)
    by_hand = 5.0 * distances(online, copy.deepcopy(target), batch).mean(1).sum()
    expected = torch.autograd.grad(by_hand, list(parameters.values()), allow_unused=True)
    for name, mine, theirs in zip(parameters, gradients, expected, strict=True):
        reached = name.startswith(("torso.", "head.transition.", "head.predictor."))
        if reached or name.endswith(("first.linear.weight", "first.linear.bias")):
            assert mine is not None, name
            assert theirs is not None, name
            assert float(theirs.abs().max()) > 1e-3
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
        else:
            # Only rounding is left of what the base's loss gave and took.
            assert mine is None or float(mine.abs().max()) < 1e-5
    if has_target:
        added = algorithm.loss(online, target, batch, None).per_sample.sum()
        added.backward()  # type: ignore[no-untyped-call]
        assert all(parameter.grad is None for parameter in target.parameters())


@pytest.mark.parametrize("streams", [Plain, Dueling, SharedDueling])
def test_projections_are_without_noise_where_values_have_it(
    streams: type[Plain | Dueling | SharedDueling],
) -> None:
    base, batch = double_c51(streams(hidden=6, noisy_sigma=0.5)), batch_of()
    algorithm = still(of(base))
    online, target = network(algorithm, 1), network(algorithm, 2)
    loss = algorithm.loss(online, target, batch, generator(5))
    alone = still(of(base, weight=0.0)).loss(online, target, batch, generator(5))
    expected = distances(online, target, batch).mean(1)
    torch.testing.assert_close(loss.per_sample - alone.per_sample, 5.0 * expected)
    # The values did have it.
    quiet = algorithm.loss(online, target, batch, None)
    assert float((loss.priority - quiet.priority).abs().min()) > 1e-4


def asked_of(random: torch.Generator | None) -> tuple[Batch, list[Tensor], list[Tensor]]:
    """A batch, and the observations that online and target network were asked about."""
    algorithm, batch = SelfPredictive(SIMPLE, STEPS, intensity=0.0), batch_of()
    networks = [network(algorithm, seed) for seed in (1, 2)]
    torsos = [Remembering(each.torso) for each in networks]
    remembering = [QNetwork(torsos[i], networks[i].head) for i in range(2)]
    algorithm.loss(remembering[0], remembering[1], batch, random)
    return batch, torsos[0].asked, torsos[1].asked


def offsets(before: Tensor, after: Tensor) -> tuple[int, int]:
    """By how much a picture [S, H, W] was moved, up to 4 pixels either way."""
    padded = nn.functional.pad(before.float(), (4, 4, 4, 4), mode="replicate")
    ways = [
        (4 - top, 4 - left)
        for top, left in product(range(9), range(9))
        if torch.equal(padded[:, top : top + PIXELS, left : left + PIXELS], after)
    ]
    assert len(ways) == 1
    return ways[0]


def test_base_and_prediction_start_from_the_same_shifted_observations() -> None:
    batch, online, target = asked_of(generator(6))
    # For values and for the prediction.
    assert len(online) == 2
    assert torch.equal(online[0], online[1])
    values_t, goals = target
    assert batch.future is not None
    future = batch.future.observations.flatten(0, 1)
    of_tm1, of_t, of_goals = (
        [offsets(*pair) for pair in zip(before, after, strict=True)]
        for before, after in ((batch.s_tm1, online[0]), (batch.s_t, values_t), (future, goals))
    )
    # Each picture has offsets of its own: 20 draws of 81, few alike.
    assert of_tm1 != of_t
    assert min(len({*of_tm1}), len({*of_t}), len({*of_goals}) - 7) > 2


def test_without_a_generator_observations_are_as_they_came() -> None:
    batch, online, target = asked_of(None)
    assert batch.future is not None
    assert torch.equal(online[0], batch.s_tm1.float())
    assert torch.equal(online[1], batch.s_tm1.float())
    assert torch.equal(target[0], batch.s_t.float())
    assert torch.equal(target[1], batch.future.observations.flatten(0, 1).float())


def test_shift_and_intensity_are_those_of_the_recipe() -> None:
    algorithm, batch, online, target = case_of(SIMPLE)

    def loss(**changes: float) -> Tensor:
        changed = dataclasses.replace(algorithm, **changes)  # type: ignore[arg-type]
        return changed.loss(online, target, batch, generator(4)).per_sample

    plain = algorithm.loss(online, target, batch, None).per_sample
    torch.testing.assert_close(loss(shift_pixels=0, intensity=0.0), plain)
    assert not torch.allclose(loss(intensity=0.0), plain)
    assert not torch.allclose(loss(shift_pixels=0), plain)
    assert not torch.allclose(loss(shift_pixels=0, intensity=0.1), loss(shift_pixels=0))


def test_the_loss_follows_from_the_generators_state_and_nothing_else() -> None:
    algorithm, batch, online, target = case_of(double_c51(Plain(hidden=6, noisy_sigma=0.5)))
    draws, untouched = generator(7), torch.get_rng_state()
    first, state = algorithm.loss(online, target, batch, draws).per_sample, draws.get_state()
    second = algorithm.loss(online, target, batch, draws).per_sample
    assert not torch.allclose(first, second)
    again = generator(99)
    again.set_state(state)
    assert torch.equal(algorithm.loss(online, target, batch, again).per_sample, second)
    assert torch.equal(torch.get_rng_state(), untouched)


def test_predictions_can_be_learnt() -> None:
    algorithm, batch, online, target = case_of(DQN(Plain(hidden=16)))
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-2)
    errors = []
    for _ in range(50):
        loss = algorithm.loss(online, target, batch, None)
        optimizer.zero_grad()
        loss.per_sample.mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        errors.append(float(loss.metrics["self_prediction"]))
    assert errors[0] > 1.0
    assert errors[-1] < 0.2 * errors[0]


@every_base
def test_actions_are_valued_as_by_the_base_alone(base: ReplayAlgorithm) -> None:
    online = network(of(base), 1)
    alone = QNetwork(online.torso, cast(Any, online.head).base)
    for seed in (None, 3):
        first, second = (None if seed is None else generator(seed) for _ in range(2))
        values, expected = (
            each(batch_of().s_tm1, random)
            for each, random in zip((online, alone), (first, second), strict=True)
        )
        assert type(values) is type(expected)
        assert torch.equal(values.q_values, expected.q_values)


def test_the_ring_is_asked_for_as_many_steps_as_are_predicted() -> None:
    assert SelfPredictive(DQN()).future_steps == 5
    assert SelfPredictive(DQN(), steps=2).future_steps == 2
    assert DQN().future_steps == 0


def test_features_that_are_no_maps_are_refused() -> None:
    with pytest.raises(QcadeError, match=r"needs feature maps \[C, h, w\].*returns \[7\]"):
        SelfPredictive(DQN()).head((7,), ACTIONS)
