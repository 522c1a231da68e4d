"""Nothing in a step waits for the device: no value of a tensor ever decides anything on the host.

On a GPU any of the operations refused here stops the host until all work is done, and cannot be
captured. They are the same operations on a processor, so this can be seen without a GPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from qcade.agent.finite import make_guard
from qcade.agent.optimizers import Adam
from qcade.recipes import recipe_names
from qcade.training.on_policy_updates import OnPolicyUpdates
from qcade.training.replay_updates import ReplayUpdates

from small_training import played, small_recipe

WAITS = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_dim",
    "_unique2",
}
"""Operations whose result, or its shape, is a value that must be known on the host."""
FROM_HOST = {"lift_fresh"}
"""Tensors made of Python's numbers, which a GPU would have to be sent."""


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what would wait."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if name in WAITS | FROM_HOST:
            raise AssertionError(f"{function} waits for the device")
        if name in ("index", "index_put", "index_put_"):
            for index in args[1]:
                if isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8):
                    raise AssertionError("a mask chooses, so how much is chosen must be known")
        return function(*args, **(kwargs or {}))


def refused() -> Iterator[Any]:
    x = torch.tensor([1.0, -1.0])
    yield lambda: float(x.sum())
    yield lambda: x[x > 0]
    yield lambda: x.nonzero()
    yield lambda: torch.tensor(3.0)
    yield lambda: x.repeat_interleave(torch.tensor([1, 2]))
    yield lambda: bool((x > 0).all())

    def set_by_mask() -> None:
        x[x > 0] = torch.zeros(1)

    yield set_by_mask


def test_what_would_wait_is_seen() -> None:
    for action in refused():
        with pytest.raises(AssertionError), NoWaiting():  # type: ignore[no-untyped-call]
            action()


@pytest.mark.parametrize("name", recipe_names())
def test_a_step_of_no_recipe_waits_for_the_device(name: str) -> None:
    # RAdam keeps its count on the host unless it is on a GPU; this is about all the rest.
    recipe = small_recipe(name)
    training = played(dataclasses.replace(recipe, optimizer=Adam(max_gradient_norm=1.0)))
    learner, updates = training.learner, training.updates
    learner.guard = make_guard(learner.optimizer, learner.network.parameters(), on_device=True)
    assert isinstance(updates, (ReplayUpdates, OnPolicyUpdates))
    if isinstance(updates, ReplayUpdates):
        prepared = updates.sampler.prepare(updates.ring, 5, 3, training.progress)
        numbers = [torch.tensor(v) if isinstance(v, (int, float)) else v for v in prepared]
        inputs: tuple[Any, ...] = (3, torch.tensor(0.9, dtype=torch.float64), *numbers)
    else:
        inputs = updates._shuffled()[0]
    with NoWaiting():  # type: ignore[no-untyped-call]
        updates.step(*inputs)
        training.acting._step()
    training.close()


@pytest.mark.parametrize("name", ["dqn", "rainbow"])
def test_drawing_on_the_host_asks_nothing_of_the_device(name: str) -> None:
    """What is prepared on the host comes from the ring's copy there, never from the device's."""
    training = played(small_recipe(name))
    updates, ring = training.updates, training.ring
    assert isinstance(updates, ReplayUpdates)
    ring._host_firsts = ring._firsts.clone()
    expected = updates.sampler.prepare(ring, 5, 3, training.progress)
    again = played(small_recipe(name))
    assert isinstance(again.updates, ReplayUpdates)
    again.ring._host_firsts = again.ring._firsts.clone()
    # Were it asked, it would say that episodes open everywhere.
    again.ring._firsts.fill_(True)
    drawn = again.updates.sampler.prepare(again.ring, 5, 3, again.progress)
    for mine, theirs in zip(expected, drawn, strict=True):
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs))
    training.close()
    again.close()
