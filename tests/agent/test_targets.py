"""Target networks: what they are at first, how they follow, and going on from a saved state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qcade.agent.learner import Learner
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy, MovingAverage, NoTarget
from qcade.algorithms.dqn import DQN
from qcade.compute.hardware import Hardware
from qcade.networks.heads import ScalarHead
from qcade.networks.normalization import SpectralConv
from qcade.networks.q_network import QNetwork
from qcade.networks.streams import Plain
from qcade.parts import TargetUpdate
from qcade.types import Batch

from learners import learn, take_over

CPU = Hardware(torch.device("cpu"), torch.float32, 1)
EVERY: list[TargetUpdate] = [
    HardCopy(period_updates=1),
    HardCopy(period_updates=3),
    MovingAverage(rate=0.25),
    NoTarget(),
]
every_rule = pytest.mark.parametrize("rule", EVERY, ids=repr)


class Weighted(nn.Module):
    """Two weights and a buffer that is saved with them."""

    mean: Tensor

    def __init__(self, first: float, second: float, mean: float) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor([first]))
        self.second = nn.Parameter(torch.tensor([second]))
        self.register_buffer("mean", torch.tensor([mean]))

    def become(self, first: float, second: float, mean: float) -> None:
        with torch.no_grad():
            self.first.fill_(first)
            self.second.fill_(second)
            self.mean.fill_(mean)


def numbers(module: nn.Module) -> list[float]:
    return [round(float(tensor), 6) for tensor in module.state_dict().values()]


def learner_of(rule: TargetUpdate, seed: int) -> Learner:
    """A learner whose torso has a buffer that changes at every update."""
    torch.manual_seed(seed)
    torso = nn.Sequential(SpectralConv(nn.Conv2d(2, 3, 2)), nn.ReLU())
    head = ScalarHead(Plain(hidden=8).build(27, 3, 1))
    return Learner(QNetwork(torso, head), DQN(double=True), Adam(learning_rate=1e-2), rule, CPU)


def batch_of(seed: int) -> Batch:
    draws, shape = torch.Generator().manual_seed(seed), (5, 2, 4, 4)
    return Batch(
        s_tm1=torch.randint(256, shape, generator=draws).to(torch.uint8),
        a_tm1=torch.randint(3, (5,), generator=draws),
        r_t=torch.randn(5, generator=draws),
        discount_t=torch.full((5,), 0.9),
        s_t=torch.randint(256, shape, generator=draws).to(torch.uint8),
    )


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.mark.parametrize("rule", [HardCopy(period_updates=3), MovingAverage(rate=0.25)], ids=repr)
def test_the_target_is_a_copy_that_shares_nothing_and_learns_nothing(rule: TargetUpdate) -> None:
    online = Weighted(1.0, 2.0, 3.0)
    target = rule.make(online)
    assert numbers(target) == [1.0, 2.0, 3.0]
    online.become(5.0, 6.0, 7.0)
    assert numbers(target) == [1.0, 2.0, 3.0]
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert all(parameter.requires_grad for parameter in online.parameters())


def test_a_hard_copy_takes_weights_and_buffers_at_its_period_alone() -> None:
    rule, online = HardCopy(period_updates=3), Weighted(0.0, 0.0, 0.0)
    target, seen = rule.make(online), []
    for update in range(1, 8):
        online.become(update, 10.0 * update, 100.0 * update)
        rule.follow(target, online, update)
        seen.append(numbers(target))
    untouched, third, sixth = [0.0, 0.0, 0.0], [3.0, 30.0, 300.0], [6.0, 60.0, 600.0]
    assert seen == [untouched, untouched, third, third, third, sixth, sixth]


def test_what_was_copied_does_not_follow_by_itself() -> None:
    rule, online = HardCopy(period_updates=3), Weighted(1.0, 2.0, 3.0)
    target = rule.make(online)
    rule.follow(target, online, 3)
    online.become(5.0, 6.0, 7.0)
    assert numbers(target) == [1.0, 2.0, 3.0]
    assert not any(parameter.requires_grad for parameter in target.parameters())


def test_a_moving_average_by_hand() -> None:
    rule, online = MovingAverage(rate=0.25), Weighted(0.0, 8.0, 0.0)
    target, seen = rule.make(online), []
    for update, (first, second, mean) in enumerate(
        [(4.0, 8.0, 5.0), (4.0, 0.0, 6.0), (-4.0, 0.0, 7.0)], start=1
    ):
        online.become(first, second, mean)
        rule.follow(target, online, update)
        seen.append(numbers(target))
        # The online network is left alone.
        assert numbers(online) == [first, second, mean]
    # A quarter of the way each time; the buffer goes all of it.
    assert seen == [[1.0, 8.0, 5.0], [1.75, 6.0, 6.0], [0.3125, 4.5, 7.0]]


@pytest.mark.parametrize(("rate", "expected"), [(0.0, [1.0, 2.0]), (1.0, [5.0, 6.0])])
def test_the_ends_of_the_rate_are_nothing_and_everything(
    rate: float, expected: list[float]
) -> None:
    rule, online = MovingAverage(rate), Weighted(1.0, 2.0, 3.0)
    target = rule.make(online)
    online.become(5.0, 6.0, 7.0)
    rule.follow(target, online, 1)
    assert numbers(target) == [*expected, 7.0]


def test_whole_numbers_among_the_buffers_are_copied() -> None:
    online, rule = nn.BatchNorm1d(2), MovingAverage(rate=0.005)
    target = rule.make(online)
    for _ in range(3):
        online(torch.randn(4, 2, generator=torch.Generator().manual_seed(1)))
    rule.follow(target, online, 1)
    mine, theirs = target.state_dict(), online.state_dict()
    assert mine["num_batches_tracked"].tolist() == 3
    assert mine["running_mean"].any()
    assert torch.equal(mine["running_mean"], theirs["running_mean"])


@pytest.mark.parametrize("rule", [NoTarget(), HardCopy(period_updates=1)], ids=repr)
def test_without_a_target_network_it_is_the_online_network_itself(rule: TargetUpdate) -> None:
    online = Weighted(1.0, 2.0, 3.0)
    target = rule.make(online)
    assert target is online
    rule.follow(target, online, 1)
    assert numbers(online) == [1.0, 2.0, 3.0]
    assert all(parameter.requires_grad for parameter in online.parameters())


@every_rule
def test_a_restored_learner_goes_on_bit_for_bit_buffers_included(rule: TargetUpdate) -> None:
    uninterrupted, resumed = learner_of(rule, 1), learner_of(rule, 2)
    for update in range(4):
        learn(uninterrupted, batch_of(update), update + 1)
        learn(resumed, batch_of(100 + update), update + 1)
    assert not same(uninterrupted.target, resumed.target)
    take_over(resumed, uninterrupted)
    assert same(uninterrupted.target, resumed.target)
    for update in range(4, 12):
        losses = [
            learn(each, batch_of(update), update + 1).per_sample
            for each in (uninterrupted, resumed)
        ]
        assert torch.equal(losses[0], losses[1])
        assert same(uninterrupted.network, resumed.network)
        assert same(uninterrupted.target, resumed.target)


def test_a_learners_target_follows_after_every_update() -> None:
    learner = learner_of(MovingAverage(rate=0.25), 1)
    for update in range(5):
        before = [parameter.clone() for parameter in learner.target.parameters()]
        learn(learner, batch_of(update), update + 1)
        followed = zip(
            before, learner.target.parameters(), learner.network.parameters(), strict=True
        )
        for old, mine, theirs in followed:
            torch.testing.assert_close(mine.detach(), 0.75 * old + 0.25 * theirs.detach())
        buffers = [*learner.target.buffers()], [*learner.network.buffers()]
        assert all(torch.equal(*pair) for pair in zip(*buffers, strict=True))
        assert not same(learner.target, learner.network)
