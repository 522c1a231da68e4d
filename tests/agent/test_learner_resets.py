"""Resets: what becomes fresh, and what the optimizer still knows afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qcade.agent.learner import Learner
from qcade.agent.optimizers import Adam
from qcade.agent.resets import ShrinkAndPerturb
from qcade.agent.targets import HardCopy, MovingAverage, NoTarget
from qcade.algorithms.dqn import DQN
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.networks.q_network import QNetwork, build_q_network
from qcade.networks.streams import Plain
from qcade.networks.torsos.small import Small
from qcade.parts import OptimizerSpec, TargetUpdate
from qcade.types import Batch, Future

from learners import ACTIONS, CPU, assert_alike, batch_of, deep_network, learn, take_over


def deep_learner(
    seed: int, optimizer: OptimizerSpec | None = None, target: TargetUpdate | None = None
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
        learn(learner, batch_of(update), update + 1)
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
    learn(learner, batch_of(6), 6)
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
        learn(learner, batch_of(update), update + 1)
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
        learn(learner, batch_of(update), update + 1)
    learner.reset(RESETS, deep_network(9))
    before = copies(learner.network)
    learn(learner, batch_of(6), 6)
    for name, parameter in learner.network.named_parameters():
        assert parameter.grad is not None
        # Adam's first step: the step size along each gradient's sign.
        first = before[name] - 1e-2 * parameter.grad / (parameter.grad.abs() + 1e-8)
        is_first = torch.allclose(parameter, first, atol=1e-5)
        assert is_first == (name not in TORSO), name
    steps = {name: int(slots["step"]) for name, slots in memory_of(learner).items()}
    assert steps == {name: 6 if name in TORSO else 1 for name in before}


@pytest.mark.parametrize("target", [MovingAverage(rate=0.1), HardCopy(period_updates=4)], ids=repr)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_learner_restored_right_after_a_reset_goes_on_bit_for_bit(
    target: TargetUpdate, decay: float
) -> None:
    optimizer = Adam(learning_rate=1e-2, weight_decay=decay)
    uninterrupted, resumed = (deep_learner(seed, optimizer, target) for seed in (1, 2))
    for update in range(5):
        learn(uninterrupted, batch_of(update), update + 1)
        # What the other one remembers of weights that were renewed must go as well.
        learn(resumed, batch_of(100 + update), update + 1)
    uninterrupted.reset(RESETS, deep_network(9))
    take_over(resumed, uninterrupted)
    assert memory_of(resumed).keys() == TORSO
    assert_alike(uninterrupted, resumed, range(5, 12))


PIXELS, STEPS = 25, 2
"""Side of the pictures that a small torso makes one pixel of, and steps that are predicted."""


def predictive_network(seed: int) -> QNetwork:
    """A network with a torso, streams, a transition model and a predictor."""
    algorithm = SelfPredictive(DQN(Plain(hidden=8)), steps=STEPS)
    return build_q_network(Small(), algorithm, (2, PIXELS, PIXELS), ACTIONS, seed)


def predictive_batch(seed: int, size: int = 3) -> Batch:
    draws = torch.Generator().manual_seed(seed)

    def pictures(*sizes: int) -> Tensor:
        shape = (*sizes, 2, PIXELS, PIXELS)
        return torch.randint(256, shape, generator=draws).to(torch.uint8)

    actions = torch.randint(ACTIONS, (size, STEPS), generator=draws)
    return batch_of(seed, size)._replace(
        s_tm1=pictures(size),
        s_t=pictures(size),
        a_tm1=actions[:, 0],
        future=Future(actions, pictures(size, STEPS), torch.ones(size, STEPS, dtype=torch.bool)),
    )


def test_a_reset_treats_a_transition_model_as_it_treats_the_torso() -> None:
    algorithm = SelfPredictive(DQN(Plain(hidden=8)), steps=STEPS)
    part, rule = Adam(learning_rate=1e-2), MovingAverage(rate=0.1)
    learner = Learner(predictive_network(1), algorithm, part, rule, CPU)
    fresh = copies(predictive_network(9))
    for update in range(3):
        learn(learner, predictive_batch(update), update + 1)
    memory = memory_of(learner)
    before = [copies(network) for network in (learner.network, learner.target)]
    assert memory.keys() == before[0].keys()
    learner.reset(RESETS, predictive_network(9))
    kept = {name for name in memory if name.startswith(("torso.", "head.transition."))}
    assert {"head.transition.first.weight", "head.transition.second.bias"} < kept
    assert {"head.predictor.weight", "head.base.streams.first.linear.weight"} < memory.keys() - kept
    for network, old in zip((learner.network, learner.target), before, strict=True):
        for name, now in copies(network).items():
            part_kept = 0.75 if name in kept else 0.0
            expected = part_kept * old[name] + (1 - part_kept) * fresh[name]
            torch.testing.assert_close(now, expected)
    after = memory_of(learner)
    assert after.keys() == kept
    for name in kept:
        assert after[name].keys() == memory[name].keys()
        assert all(torch.equal(after[name][slot], memory[name][slot]) for slot in after[name])
    assert float(after["head.transition.first.weight"]["exp_avg"].abs().max()) > 0
