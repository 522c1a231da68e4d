"""No update is made by numbers that are not finite."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qcade.agent.finite import DeviceGuard, HostGuard, make_guard, require_finite
from qcade.training.loop import make_runners
from qcade.training.snapshot import take_snapshot
from qcade.types import NotFinite

from small_training import assert_equal, everything, make_due_updates, played, small_recipe


def optimizer_of(weight: nn.Parameter) -> torch.optim.Optimizer:
    return torch.optim.Adam([weight], lr=0.1)


def step_with(gradient: float, loss: float, on_device: bool) -> tuple[Tensor, Tensor, bool]:
    """One good step, then one with these; the weights before and after, and whether it failed."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = optimizer_of(weight)
    guard = make_guard(optimizer, [weight], on_device)
    weight.grad = torch.ones(2)
    guard.step(torch.tensor(1.0), torch.tensor(1.0))
    before = weight.detach().clone()
    weight.grad = torch.tensor([gradient, 1.0])
    failed = False
    try:
        guard.step(torch.tensor(loss), weight.grad.norm())
        guard.check(2)
    except NotFinite:
        failed = True
    return before, weight.detach(), failed


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize(
    ("gradient", "loss"),
    [(float("nan"), 1.0), (float("inf"), 1.0), (1.0, float("inf")), (1.0, float("nan"))],
)
def test_a_step_without_numbers_changes_nothing(
    gradient: float, loss: float, on_device: bool
) -> None:
    before, after, failed = step_with(gradient, loss, on_device)
    assert failed
    assert torch.equal(before, after)


@pytest.mark.parametrize("on_device", [False, True])
def test_steps_by_numbers_are_the_optimizers_own(on_device: bool) -> None:
    before, after, failed = step_with(1.0, 1.0, on_device)
    assert not failed
    assert not torch.equal(before, after)
    plain = nn.Parameter(torch.ones(2))
    optimizer = optimizer_of(plain)
    for _ in range(2):
        plain.grad = torch.ones(2)
        optimizer.step()
    assert torch.equal(plain.detach(), after)


def test_moments_of_a_refused_step_stay_as_they_were() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = optimizer_of(weight)
    guard = DeviceGuard(optimizer, [weight])
    weight.grad = torch.ones(2)
    guard.step(torch.tensor(1.0), torch.tensor(1.0))
    before = {name: value.clone() for name, value in optimizer.state[weight].items()}
    weight.grad = torch.full((2,), float("nan"))
    guard.step(torch.tensor(1.0), weight.grad.norm())
    assert_equal(before, optimizer.state[weight])
    with pytest.raises(NotFinite, match="1 updates up to update 2"):
        guard.check(2)


@pytest.mark.parametrize("name", ["dqn", "tutorial", "pqn", "rainbow", "bbf"])
def test_an_update_by_a_loss_without_numbers_leaves_the_training_as_it_was(name: str) -> None:
    training = played(small_recipe(name))
    assert isinstance(training.learner.guard, HostGuard)
    # As a reward would have done that nobody looked at.
    training.ring._rewards.fill_(float("nan"))
    before = {k: v.clone() for k, v in everything(training).items()}
    with pytest.raises(NotFinite, match="update 1 was not made: the loss is nan"):
        make_due_updates(training, make_runners(training))
    after = everything(training)
    for key in before:
        if not key.startswith(("random.", "source.")):
            assert torch.equal(before[key], after[key]), key
    assert training.clock.updates == 0
    training.close()


def test_weights_without_numbers_are_in_no_snapshot() -> None:
    training = played(small_recipe("dqn"))
    with torch.no_grad():
        next(training.learner.network.parameters())[0] = float("inf")
    with pytest.raises(NotFinite, match=r"weights: torso\..* not finite"):
        take_snapshot(training)
    training.close()
    require_finite({"count": torch.tensor([3]), "x": torch.zeros(2)}, "all")
