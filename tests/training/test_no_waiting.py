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
from qcade.compute.runners import stack, unstack
from qcade.recipes import recipe_names
from qcade.training.loop import NO_INPUT, update, value_newest
from qcade.training.replay_source import ReplaySource

from small_training import due_plans, played, small_recipe

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
    learner = training.learner
    learner.guard = make_guard(learner.optimizer, learner.network.parameters(), on_device=True)
    plans = next(due_plans(training))
    # As graphs get them: numbers are tensors.
    [plan] = unstack(plans[0].n_step, stack(plans), 1)
    with NoWaiting():  # type: ignore[no-untyped-call]
        update(training, plan)
        value_newest(training, NO_INPUT)
    training.close()


@pytest.mark.parametrize("name", ["dqn", "rainbow"])
def test_drawing_on_the_host_asks_nothing_of_the_device(name: str) -> None:
    """What is planned on the host comes from the ring's copy there, never from the device's."""
    training = played(small_recipe(name))
    source, ring = training.source, training.ring
    assert isinstance(source, ReplaySource)
    ring._host_firsts = ring._firsts.clone()
    expected = source.sampler.plan(ring, 5, 3, training.progress)
    again = played(small_recipe(name))
    assert isinstance(again.source, ReplaySource)
    again.ring._host_firsts = again.ring._firsts.clone()
    # Were it asked, it would say that episodes open everywhere.
    again.ring._firsts.fill_(True)
    drawn = again.source.sampler.plan(again.ring, 5, 3, again.progress)
    for mine, theirs in zip(expected, drawn, strict=True):
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs))
    training.close()
    again.close()
