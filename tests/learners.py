"""Small learners and batches, for all tests of the learner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qcade.agent.learner import Learner, LearnerState
from qcade.compute.hardware import Hardware
from qcade.networks.heads import ScalarHead
from qcade.networks.q_network import QNetwork
from qcade.networks.streams import Plain
from qcade.parts import OptimizerSpec
from qcade.types import Batch, Loss

CPU = Hardware(torch.device("cpu"), torch.float32, 1)
PIXELS, ACTIONS, BATCH = 8, 3, 6


@dataclass(frozen=True)
class PlainSGD(OptimizerSpec):
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


def flat(module: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def step_of(learner: Learner, batch: Batch, importance: Tensor | None = None) -> Tensor:
    before = flat(learner.network)
    learner.update(batch, importance)
    return flat(learner.network) - before


def learn(learner: Learner, batch: Batch, number: int) -> Loss:
    """Make the update of this number, counted from 1; the target network follows."""
    loss = learner.update(batch)
    learner.update_target(number)
    return loss


def copied(state: LearnerState) -> LearnerState:
    """A state that shares nothing with another one."""
    target = {name: tensor.clone() for name, tensor in state.target.items()}
    optimizer = {
        index: {name: tensor.clone() for name, tensor in slots.items()}
        for index, slots in state.optimizer.items()
    }
    return LearnerState(target, optimizer)


def take_over(learner: Learner, other: Learner) -> None:
    """Bring a learner to the state of another one, sharing nothing with it."""
    learner.network.load_state_dict(other.network.state_dict())
    learner.restore(copied(other.state()))


def assert_alike(one: Learner, other: Learner, updates: range) -> None:
    """Make updates after so many others with both, and compare to the last bit."""
    for update in updates:
        losses = [learn(each, batch_of(update), update + 1).per_sample for each in (one, other)]
        assert torch.equal(losses[0], losses[1])
    assert torch.equal(flat(one.network), flat(other.network))
    assert torch.equal(flat(one.target), flat(other.target))


def deep_network(seed: int, noisy_sigma: float | None = None) -> QNetwork:
    """A network whose torso has weights as well."""
    torch.manual_seed(seed)
    torso = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU())
    head = ScalarHead(Plain(hidden=8, noisy_sigma=noisy_sigma).build(12, ACTIONS, 1))
    return QNetwork(torso, head)
