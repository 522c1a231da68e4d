"""The learner: what an update changes, what it leaves, and going on from a saved state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from qcade.agent.learner import Learner
from qcade.agent.optimizers import Adam
from qcade.agent.resets import ShrinkAndPerturb
from qcade.agent.targets import HardCopy, MovingAverage, NoTarget
from qcade.algorithms.double_dqn import DoubleDQN
from qcade.algorithms.dqn import DQN
from qcade.machine import Hardware
from qcade.networks.heads import ScalarHead
from qcade.networks.q_network import QNetwork
from qcade.networks.streams import Plain
from qcade.parts import Algorithm, OptimizerPart, TargetNetwork
from qcade.types import Batch

CPU = Hardware(torch.device("cpu"), torch.float32, 1)
PIXELS, ACTIONS, BATCH = 8, 3, 6


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # Networks as small as these only wait for a second thread, and long where cores are busy.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class PlainSGD(OptimizerPart):
    """Moves by exactly minus the gradient, so that steps show gradients."""

    max_gradient_norm: float | None = None

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=1.0)


def batch_of(seed: int, size: int = BATCH) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    shape = (size, 2, 2, 2)
    return Batch(
        s_tm1=torch.randint(256, shape, generator=generator).to(torch.uint8),
        a_tm1=torch.randint(ACTIONS, (size,), generator=generator),
        r_t=torch.randn(size, generator=generator),
        discount_t=0.9 * torch.rand(size, generator=generator),
        s_t=torch.randint(256, shape, generator=generator).to(torch.uint8),
    )


def only(batch: Batch, i: int) -> Batch:
    """The batch of one of its samples."""
    one = slice(i, i + 1)
    return Batch(
        batch.s_tm1[one], batch.a_tm1[one], batch.r_t[one], batch.discount_t[one], batch.s_t[one]
    )


def learner_of(
    seed: int = 1,
    optimizer: OptimizerPart | None = None,
    target: TargetNetwork | None = None,
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


def flat(module: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def step_of(learner: Learner, batch: Batch, importance: Tensor | None = None) -> Tensor:
    before = flat(learner.network)
    learner.update(batch, importance)
    return flat(learner.network) - before


def take_over(learner: Learner, other: Learner) -> None:
    """Bring a learner to the state of another one, sharing nothing with it."""
    tensors = {name: tensor.clone() for name, tensor in other.tensors().items()}
    learner.network.load_state_dict(other.network.state_dict())
    learner.restore(tensors, other.updates)


def assert_alike(one: Learner, other: Learner, updates: range) -> None:
    for update in updates:
        losses = [each.update(batch_of(update)).per_sample for each in (one, other)]
        assert torch.equal(losses[0], losses[1])
    assert torch.equal(flat(one.network), flat(other.network))
    assert torch.equal(flat(one.target), flat(other.target))


@pytest.mark.parametrize("algorithm", [DQN(), DoubleDQN(error="squared")], ids=repr)
def test_one_batch_is_learnt_by_heart(algorithm: Algorithm) -> None:
    # Six actions in six pictures: enough weights to give each exactly its goal.
    learner = learner_of(optimizer=Adam(learning_rate=1e-2), algorithm=algorithm)
    batch = batch_of(3)
    losses = [float(learner.update(batch).metrics["loss"]) for _ in range(200)]
    assert losses[0] > 0.05
    assert losses[-1] < 1e-4
    values = learner.network(batch.s_tm1).q_values.gather(1, batch.a_tm1[:, None])[:, 0]
    q_t = learner.target(batch.s_t).q_values
    if isinstance(algorithm, DoubleDQN):
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
        learner.update(batch_of(update))
        if update in (3, 6, 9):
            expected = flat(learner.network)
        assert torch.equal(flat(learner.target), expected)
        assert torch.equal(flat(learner.network), expected) == (update in (3, 6, 9))


def test_a_period_of_one_is_no_target_network_at_all() -> None:
    learner = learner_of(target=HardCopy(period_updates=1))
    for update in range(4):
        assert torch.equal(flat(learner.target), flat(learner.network))
        learner.update(batch_of(update))
    assert torch.equal(flat(learner.target), flat(learner.network))
    # And it learns: the one network is not frozen as a target would be.
    assert float(step_of(learner, batch_of(9)).norm()) > 0


@pytest.mark.parametrize("period", [1, 3])
def test_a_restored_learner_goes_on_bit_for_bit(period: int) -> None:
    def fresh(seed: int) -> Learner:
        rule = HardCopy(period_updates=period)
        return learner_of(seed, Adam(learning_rate=1e-2), rule, DoubleDQN())

    uninterrupted, resumed = fresh(1), fresh(2)
    for update in range(5):
        uninterrupted.update(batch_of(update))
    take_over(resumed, uninterrupted)
    assert_alike(uninterrupted, resumed, range(5, 12))
    assert resumed.updates == 12


def test_going_on_does_not_write_into_the_state_that_was_restored() -> None:
    learner, resumed = (learner_of(optimizer=Adam(learning_rate=1e-2)) for _ in range(2))
    learner.update(batch_of(1))
    saved = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    copies = {name: tensor.clone() for name, tensor in saved.items()}
    resumed.restore(saved, updates=1)
    resumed.update(batch_of(2))
    assert all(torch.equal(saved[name], copies[name]) for name in copies)


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
        other.restore(learner.tensors(), updates=1)


def deep_network(seed: int, noisy_sigma: float | None = None) -> QNetwork:
    """A network whose torso has weights as well."""
    torch.manual_seed(seed)
    torso = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU())
    head = ScalarHead(Plain(hidden=8, noisy_sigma=noisy_sigma).build(12, ACTIONS, 1))
    return QNetwork(torso, head)


def deep_learner(
    seed: int, optimizer: OptimizerPart | None = None, target: TargetNetwork | None = None
) -> Learner:
    part = optimizer or Adam(learning_rate=1e-2)
    return Learner(deep_network(seed), DQN(), part, target or MovingAverage(rate=0.1), CPU)


def copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def memory_of(learner: Learner) -> dict[str, dict[str, Tensor]]:
    """What the optimizer remembers of each parameter that it has seen."""
    state = learner.optimizer.state
    return {
        name: {slot: value.clone() for slot, value in state[parameter].items()}
        for name, parameter in learner.network.named_parameters()
        if parameter in state
    }


RESETS = ShrinkAndPerturb(torso_kept=0.75)
TORSO = {"torso.0.weight", "torso.0.bias"}


def test_a_reset_brings_both_networks_to_the_same_fresh_weights() -> None:
    learner, fresh = deep_learner(1), deep_network(9)
    for update in range(5):
        learner.update(batch_of(update))
    networks, new = (learner.network, learner.target), copies(fresh)
    before = [copies(network) for network in networks]
    assert not torch.equal(before[0]["torso.0.weight"], before[1]["torso.0.weight"])
    learner.reset(RESETS, fresh)
    for network, old in zip(networks, before, strict=True):
        for name, parameter in network.named_parameters():
            kept = 0.75 if name in TORSO else 0.0
            expected = kept * old[name] + (1 - kept) * new[name]
            torch.testing.assert_close(parameter.detach(), expected)
            if name not in TORSO:
                assert torch.equal(parameter, new[name])
    # The fresh network stays as it was, now and when learning goes on.
    learner.update(batch_of(6))
    assert all(torch.equal(new[name], now) for name, now in fresh.named_parameters())
    assert not any(parameter.requires_grad for parameter in learner.target.parameters())


def test_without_a_target_network_a_reset_is_made_once() -> None:
    learner, fresh = deep_learner(1, target=NoTarget()), deep_network(9)
    old, new = copies(learner.network)["torso.0.weight"], copies(fresh)["torso.0.weight"]
    learner.reset(RESETS, fresh)
    now = copies(learner.network)["torso.0.weight"]
    torch.testing.assert_close(now, 0.75 * old + 0.25 * new)


def test_a_reset_forgets_what_the_optimizer_knew_of_renewed_weights_alone() -> None:
    learner = deep_learner(1)
    for update in range(5):
        learner.update(batch_of(update))
    before = memory_of(learner)
    assert before.keys() == copies(learner.network).keys()
    learner.reset(RESETS, deep_network(9))
    after = memory_of(learner)
    assert after.keys() == TORSO
    for name in TORSO:
        assert after[name]["step"].item() == 5
        assert float(after[name]["exp_avg"].abs().max()) > 0
        for slot in ("step", "exp_avg", "exp_avg_sq"):
            assert torch.equal(after[name][slot], before[name][slot])


def test_the_update_after_a_reset_is_the_first_one_of_what_is_new() -> None:
    learner = deep_learner(1, Adam(learning_rate=1e-2, max_gradient_norm=None))
    for update in range(5):
        learner.update(batch_of(update))
    learner.reset(RESETS, deep_network(9))
    before = copies(learner.network)
    learner.update(batch_of(6))
    for name, parameter in learner.network.named_parameters():
        assert parameter.grad is not None
        # Adam's first step: the step size along each gradient's sign.
        first = before[name] - 1e-2 * parameter.grad / (parameter.grad.abs() + 1e-8)
        is_first = torch.allclose(parameter, first, atol=1e-5)
        assert is_first == (name not in TORSO), name
    steps = {name: int(slots["step"]) for name, slots in memory_of(learner).items()}
    assert steps == {name: 6 if name in TORSO else 1 for name in before}
    assert learner.updates == 6


@pytest.mark.parametrize("target", [MovingAverage(rate=0.1), HardCopy(period_updates=4)], ids=repr)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_learner_restored_right_after_a_reset_goes_on_bit_for_bit(
    target: TargetNetwork, decay: float
) -> None:
    optimizer = Adam(learning_rate=1e-2, weight_decay=decay)
    uninterrupted, resumed = (deep_learner(seed, optimizer, target) for seed in (1, 2))
    for update in range(5):
        uninterrupted.update(batch_of(update))
        # What the other one remembers of weights that were renewed must go as well.
        resumed.update(batch_of(100 + update))
    uninterrupted.reset(RESETS, deep_network(9))
    take_over(resumed, uninterrupted)
    assert memory_of(resumed).keys() == TORSO
    assert_alike(uninterrupted, resumed, range(5, 12))


def noisy_learner(noise: torch.Generator | None, seed: int = 1) -> Learner:
    network = deep_network(seed, noisy_sigma=0.5)
    rule = HardCopy(period_updates=3)
    return Learner(network, DoubleDQN(), Adam(learning_rate=1e-2), rule, CPU, noise)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_of_an_update_follows_from_the_generators_state() -> None:
    noises = (seeded(1), seeded(1), seeded(2), None)
    steps = [step_of(noisy_learner(noise), batch_of(3)) for noise in noises]
    assert torch.equal(steps[0], steps[1])
    assert not torch.allclose(steps[0], steps[2])
    assert not torch.allclose(steps[0], steps[3])


def test_every_update_and_every_look_at_values_draws_noise_anew() -> None:
    learner, batch = noisy_learner(seeded(1)), batch_of(3)
    first, second = learner.q_values(batch.s_tm1), learner.q_values(batch.s_tm1)
    assert float((first - second).abs().min()) > 1e-6
    again = noisy_learner(seeded(1))
    assert torch.equal(again.q_values(batch.s_tm1), first)
    quiet = noisy_learner(None)
    assert torch.equal(quiet.q_values(batch.s_tm1), quiet.q_values(batch.s_tm1))


def test_the_global_generator_is_left_alone() -> None:
    learner, before = noisy_learner(seeded(1)), torch.get_rng_state()
    learner.update(batch_of(3))
    learner.q_values(batch_of(3).s_tm1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_learner_goes_on_bit_for_bit_with_the_generator_restored() -> None:
    noise, other_noise = seeded(1), seeded(2)
    uninterrupted, resumed = noisy_learner(noise, 1), noisy_learner(other_noise, 2)
    for update in range(4):
        uninterrupted.update(batch_of(update))
    take_over(resumed, uninterrupted)
    other_noise.set_state(noise.get_state())
    assert_alike(uninterrupted, resumed, range(4, 10))
    assert torch.equal(noise.get_state(), other_noise.get_state())
