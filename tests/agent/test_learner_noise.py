"""Noise of a learner's network: drawn anew at every forward, from its own generator."""

from __future__ import annotations

import torch
from torch import Tensor

from qcade.agent.learner import Learner
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.dqn import DQN
from qcade.parts import OptimizerSpec
from qcade.types import Batch

from learners import CPU, PlainSGD, assert_alike, batch_of, deep_network, learn, step_of, take_over


def noisy_learner(
    noise: torch.Generator | None, seed: int = 1, optimizer: OptimizerSpec | None = None
) -> Learner:
    network = deep_network(seed, noisy_sigma=0.5)
    part, rule = optimizer or Adam(learning_rate=1e-2), HardCopy(period_updates=3)
    return Learner(network, DQN(double=True), part, rule, CPU, noise)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def step_from_the_start(learner: Learner, batch: Batch, looks: int) -> Tensor:
    """What an update adds to the weights of `deep_network(1)`, after so many looks at values."""
    learner.network.load_state_dict(deep_network(1, noisy_sigma=0.5).state_dict())
    for _ in range(looks):
        learner.q_values(batch.s_tm1)
    return step_of(learner, batch)


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

    # Steps along the gradient, from the same weights and towards goals without noise of their own.
    fixed = batch._replace(discount_t=torch.zeros_like(batch.discount_t))
    learner, quiet = (noisy_learner(noise, 1, PlainSGD()) for noise in (seeded(1), None))
    first, second, after_a_look = (step_from_the_start(learner, fixed, n) for n in (0, 0, 1))
    for one, other in ((first, second), (second, after_a_look), (first, after_a_look)):
        assert not torch.allclose(one, other, rtol=0.05)
    steps = [step_from_the_start(quiet, fixed, looks) for looks in (0, 0, 1)]
    assert torch.equal(steps[0], steps[1])
    assert torch.equal(steps[0], steps[2])
    # Looking changes what is drawn next: noise of acting is not used again for learning.
    once, twice = (noisy_learner(seeded(1), 1, PlainSGD()) for _ in range(2))
    assert not torch.allclose(
        step_from_the_start(once, fixed, 0), step_from_the_start(twice, fixed, 1), rtol=0.05
    )


def test_the_global_generator_is_left_alone() -> None:
    learner, before = noisy_learner(seeded(1)), torch.get_rng_state()
    learner.update(batch_of(3))
    learner.q_values(batch_of(3).s_tm1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_learner_goes_on_bit_for_bit_with_the_generator_restored() -> None:
    noise, other_noise = seeded(1), seeded(2)
    uninterrupted, resumed = noisy_learner(noise, 1), noisy_learner(other_noise, 2)
    for update in range(4):
        learn(uninterrupted, batch_of(update), update + 1)
    take_over(resumed, uninterrupted)
    other_noise.set_state(noise.get_state())
    assert_alike(uninterrupted, resumed, range(4, 10))
    assert torch.equal(noise.get_state(), other_noise.get_state())
