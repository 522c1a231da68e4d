"""The learner: what an update changes, what it leaves, and going on from a saved state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qcade.agent.learner import Learner
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.dqn import DQN
from qcade.networks.heads import ScalarHead
from qcade.networks.q_network import QNetwork
from qcade.networks.streams import Plain
from qcade.parts import Algorithm, OptimizerSpec, TargetUpdate
from qcade.types import Batch, QcadeError

from learners import (
    ACTIONS,
    BATCH,
    CPU,
    PIXELS,
    PlainSGD,
    assert_alike,
    batch_of,
    copied,
    flat,
    learn,
    step_of,
    take_over,
)
from small_training import assert_equal


def only(batch: Batch, i: int) -> Batch:
    """The batch of one of its samples."""
    one = slice(i, i + 1)
    return Batch(
        batch.s_tm1[one], batch.a_tm1[one], batch.r_t[one], batch.discount_t[one], batch.s_t[one]
    )


def learner_of(
    seed: int = 1,
    optimizer: OptimizerSpec | None = None,
    target: TargetUpdate | None = None,
    algorithm: Algorithm | None = None,
) -> Learner:
    torch.manual_seed(seed)
    head = ScalarHead(Plain(hidden=32).build(PIXELS, ACTIONS, 1))
    return Learner(
        QNetwork(nn.Identity(), head),
        algorithm or DQN(error="squared"),
        optimizer or PlainSGD(),
        target or HardCopy(period_updates=1_000),
        CPU,
    )


@pytest.mark.parametrize("algorithm", [DQN(), DQN(double=True, error="squared")], ids=repr)
def test_one_batch_is_learnt_by_heart(algorithm: DQN) -> None:
    # Six actions in six pictures: enough weights to give each exactly its goal.
    learner = learner_of(optimizer=Adam(learning_rate=1e-2), algorithm=algorithm)
    batch = batch_of(3)
    losses = [float(learner.update(batch).metrics["loss"]) for _ in range(200)]
    assert losses[0] > 0.05
    assert losses[-1] < 1e-4
    values = learner.network(batch.s_tm1).q_values.gather(1, batch.a_tm1[:, None])[:, 0]
    q_t = learner.target(batch.s_t).q_values
    if algorithm.double:
        best = learner.network(batch.s_t).q_values.argmax(1, keepdim=True)
        following = q_t.gather(1, best)[:, 0]
    else:
        following = q_t.amax(1)
    goal = batch.r_t + batch.discount_t * following
    torch.testing.assert_close(values, goal, atol=0.05, rtol=0)


def test_an_update_averages_over_the_batch() -> None:
    batch = batch_of(3)
    whole = step_of(learner_of(), batch)
    singles = [step_of(learner_of(), only(batch, i)) for i in range(BATCH)]
    torch.testing.assert_close(whole, torch.stack(singles).mean(0))


def test_importance_weighs_each_samples_gradient() -> None:
    batch = batch_of(3)
    weights = torch.tensor([0.0, 1.0, 0.5, 2.0, 0.25, 0.0])
    singles = [step_of(learner_of(), only(batch, i)) for i in range(BATCH)]
    expected = (weights[:, None] * torch.stack(singles)).sum(0) / BATCH
    torch.testing.assert_close(step_of(learner_of(), batch, weights), expected)


def test_a_sample_of_no_importance_teaches_nothing_whatever_it_says() -> None:
    batch, weights = batch_of(3), torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    wild = batch._replace(r_t=torch.cat((torch.tensor([1e6]), batch.r_t[1:])))
    assert not torch.equal(step_of(learner_of(), batch), step_of(learner_of(), wild))
    ignored = step_of(learner_of(), wild, weights)
    torch.testing.assert_close(step_of(learner_of(), batch, weights), ignored)


def test_long_gradients_are_shortened_and_keep_their_direction() -> None:
    batch = batch_of(3)._replace(r_t=torch.full((BATCH,), 100.0))
    free = step_of(learner_of(), batch)
    clipped = step_of(learner_of(optimizer=PlainSGD(max_gradient_norm=0.5)), batch)
    assert float(free.norm()) > 5
    torch.testing.assert_close(clipped, free * (0.5 / free.norm()), rtol=1e-3, atol=1e-6)


def test_short_gradients_are_left_alone() -> None:
    free = step_of(learner_of(), batch_of(3))
    limit = PlainSGD(max_gradient_norm=2 * float(free.norm()))
    assert torch.equal(step_of(learner_of(optimizer=limit), batch_of(3)), free)


def test_gradients_do_not_pile_up_over_updates() -> None:
    # Without discount the goal is fixed, so a second step from the same weights is the same.
    learner, batch = learner_of(), batch_of(3)._replace(discount_t=torch.zeros(BATCH))
    weights = {name: tensor.clone() for name, tensor in learner.network.state_dict().items()}
    first = step_of(learner, batch)
    learner.network.load_state_dict(weights)
    torch.testing.assert_close(step_of(learner, batch), first)


def test_the_reported_loss_is_the_weighted_mean_and_the_rest_is_kept() -> None:
    learner, weights = learner_of(), torch.tensor([0.0, 1.0, 0.5, 2.0, 0.25, 0.0])
    loss = learner.update(batch_of(3), weights)
    expected = (weights * loss.per_sample.detach()).sum() / BATCH
    torch.testing.assert_close(loss.metrics["loss"], expected)
    assert loss.metrics.keys() == {"loss", "q_mean"}
    assert not loss.metrics["loss"].requires_grad


def test_the_target_is_renewed_exactly_at_its_period_and_never_in_between() -> None:
    learner = learner_of(optimizer=Adam(learning_rate=1e-2), target=HardCopy(period_updates=3))
    expected = flat(learner.network)
    assert torch.equal(flat(learner.target), expected)
    for update in range(1, 10):
        learn(learner, batch_of(update), update)
        if update in (3, 6, 9):
            expected = flat(learner.network)
        assert torch.equal(flat(learner.target), expected)
        assert torch.equal(flat(learner.network), expected) == (update in (3, 6, 9))


def test_a_period_of_one_is_no_target_network_at_all() -> None:
    learner = learner_of(target=HardCopy(period_updates=1))
    for update in range(4):
        assert torch.equal(flat(learner.target), flat(learner.network))
        learn(learner, batch_of(update), update + 1)
    assert torch.equal(flat(learner.target), flat(learner.network))
    # And it learns: the one network is not frozen as a target would be.
    assert float(step_of(learner, batch_of(9)).norm()) > 0


@pytest.mark.parametrize("period", [1, 3])
def test_a_restored_learner_goes_on_bit_for_bit(period: int) -> None:
    def fresh(seed: int) -> Learner:
        rule = HardCopy(period_updates=period)
        return learner_of(seed, Adam(learning_rate=1e-2), rule, DQN(double=True))

    uninterrupted, resumed = fresh(1), fresh(2)
    for update in range(5):
        learn(uninterrupted, batch_of(update), update + 1)
    take_over(resumed, uninterrupted)
    assert_alike(uninterrupted, resumed, range(5, 12))


def test_going_on_does_not_write_into_the_state_that_was_restored() -> None:
    learner, resumed = (learner_of(optimizer=Adam(learning_rate=1e-2)) for _ in range(2))
    learn(learner, batch_of(1), 1)
    saved = copied(learner.state())
    copies = copied(saved)
    resumed.restore(saved)
    learn(resumed, batch_of(2), 2)
    assert_equal(saved.target, copies.target)
    assert saved.optimizer.keys() == copies.optimizer.keys()
    for index, slots in copies.optimizer.items():
        assert_equal(saved.optimizer[index], slots)


def test_the_state_of_another_network_is_refused() -> None:
    learner = learner_of(optimizer=Adam())
    learner.update(batch_of(1))
    other = Learner(
        QNetwork(nn.Identity(), ScalarHead(Plain(hidden=7).build(PIXELS, ACTIONS, 1))),
        DQN(),
        Adam(),
        HardCopy(period_updates=5),
        CPU,
    )
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.restore(learner.state())


def test_going_on_without_a_target_network_keeps_the_online_weights() -> None:
    learner = learner_of(optimizer=Adam(learning_rate=1e-2))
    for update in range(3):
        learn(learner, batch_of(update), update + 1)
    alone = learner_of(2, Adam(learning_rate=1e-2), HardCopy(period_updates=1))
    take_over(alone, learner)
    assert torch.equal(flat(alone.network), flat(learner.network))
    assert not torch.equal(flat(learner.target), flat(learner.network))


@pytest.mark.parametrize("decays", [(0.0, 0.1), (0.1, 0.0)])
def test_every_weight_keeps_its_own_moments_when_weight_decay_comes_or_goes(
    decays: tuple[float, float],
) -> None:
    before, after = (learner_of(1, Adam(learning_rate=1e-2, weight_decay=d)) for d in decays)
    for update in range(3):
        learn(before, batch_of(update), update + 1)
    take_over(after, before)
    for one, other in zip(before.network.parameters(), after.network.parameters(), strict=True):
        for name, slot in before.optimizer.state[one].items():
            assert torch.equal(after.optimizer.state[other][name], slot)
    after.update(batch_of(9))


def test_moments_of_other_weights_are_refused() -> None:
    learner = learner_of(optimizer=Adam())
    learner.update(batch_of(1))
    saved = learner.state()
    one, other = (saved.optimizer[index] for index in (0, 1))
    for name in ("exp_avg", "exp_avg_sq"):
        one[name], other[name] = other[name], one[name]
    with pytest.raises(QcadeError, match=r"optimizer\.0\.exp_avg is"):
        learner_of(optimizer=Adam()).restore(saved)
