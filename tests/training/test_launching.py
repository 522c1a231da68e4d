"""Launching steps: one by one or several at once, the run is the same."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Hashable, Sequence

import pytest
import torch
from torch import Tensor

from qcade.agent.capturable import fill_state, make_capturable, state_tensors
from qcade.agent.resets import ShrinkAndPerturb
from qcade.agent.targets import HardCopy
from qcade.algorithms.c51 import C51
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.machine import Hardware
from qcade.networks.streams import SharedDueling
from qcade.recipe import Horizon, Recipe, ReplayRecipe
from qcade.recipes import recipe_names
from qcade.training.cuda_graph import Function, Results, Written, put_back, save
from qcade.training.events import Advanced
from qcade.training.launching import (
    AsGraphs,
    Eagerly,
    Inputs,
    make_launcher,
    one_by_one,
    stack,
    unstack,
)
from qcade.training.loop import run
from qcade.training.minibatches import as_cut, padded
from qcade.training.on_policy_updates import OnPolicyUpdates
from qcade.training.replay_updates import ReplayUpdates
from qcade.training.state import Training

from small_training import assert_equal, everything, played, small_recipe

RESET = 26


class Stacked:
    """Launches as graphs do, without any: inputs come as slices of stacked tensors."""

    most_steps = 16

    def __init__(self) -> None:
        self.sizes: list[tuple[Hashable, int]] = []
        self.forgot = 0

    def run(self, key: Hashable, step: Function, inputs: Sequence[Inputs]) -> Results:
        self.sizes.append((key, len(inputs)))
        return one_by_one(step, unstack(stack(inputs), len(inputs)))

    def forget(self) -> None:
        self.forgot += 1


def test_inputs_are_stacked_place_by_place_and_taken_apart_again() -> None:
    inputs = [(torch.tensor([i, 2]), 7 * i, 0.1 + i) for i in range(3)]
    numbers, whole, fractions = stack(inputs)
    assert numbers.tolist() == [[0, 2], [1, 2], [2, 2]]
    assert (whole.dtype, whole.tolist()) == (torch.int64, [0, 7, 14])
    assert (fractions.dtype, fractions.tolist()) == (torch.float64, [0.1, 1.1, 2.1])
    apart = unstack([numbers, whole, fractions], 3)
    assert [[part.tolist() for part in each] for each in apart] == [
        [[i, 2], 7 * i, 0.1 + i] for i in range(3)
    ]
    assert unstack(stack([()]), 1) == [()]


def test_results_are_added_up_in_order() -> None:
    told: list[float] = []

    def step(value: float) -> Results:
        told.append(value)
        return {"one": torch.tensor(value), "square": torch.tensor(value**2)}

    sums = one_by_one(step, [(1.0,), (2.0,), (3.0,)])
    assert told == [1.0, 2.0, 3.0]
    assert {name: float(value) for name, value in sums.items()} == {"one": 6.0, "square": 14.0}


def tuned(name: str) -> Recipe:
    """A recipe in which all that the host does between updates comes soon and often."""
    recipe = small_recipe(name)
    if not isinstance(recipe, ReplayRecipe):
        return dataclasses.replace(recipe, total_frames=60)
    updates = dataclasses.replace(recipe.updates, start_frames=30, per_period=7, batch_size=2)
    recipe = dataclasses.replace(recipe, updates=updates, total_frames=54)
    if isinstance(recipe.target, HardCopy):
        recipe = dataclasses.replace(recipe, target=HardCopy(period_updates=5))
    if recipe.resets is not None:
        horizon = Horizon(start_n_step=6, start_gamma=0.5, anneal_updates=18)
        recipe = dataclasses.replace(
            recipe,
            resets=ShrinkAndPerturb(period_updates=RESET, last_update=RESET),
            replay=dataclasses.replace(recipe.replay, n_step=2, horizon=horizon),
            target=HardCopy(period_updates=11),
            algorithm=SelfPredictive(C51(double=True, streams=SharedDueling(hidden=16)), steps=2),
        )
    return recipe


def finished(recipe: Recipe, launcher: Stacked | None) -> tuple[Training, list[int]]:
    training = Training(recipe)
    if launcher is not None:
        assert isinstance(training.updates, (ReplayUpdates, OnPolicyUpdates))
        training.updates.launcher = launcher
    counts = [event.updates for event in run(training) if isinstance(event, Advanced)]
    training.close()
    return training, counts


@pytest.mark.parametrize("name", ["dqn", "rainbow", "bbf"])
def test_several_updates_at_once_are_those_that_are_made_one_by_one(name: str) -> None:
    recipe, launcher = tuned(name), Stacked()
    one, counts = finished(recipe, None)
    several, same_counts = finished(recipe, launcher)
    assert counts == same_counts
    assert sum(size for _, size in launcher.sizes) == counts[-1] >= 35
    assert {size for _, size in launcher.sizes} == {1, 2, 4}
    mine, theirs = everything(one), everything(several)
    for metric in [key for key in mine if key.startswith("metric.")]:
        # Sums of sums.
        torch.testing.assert_close(mine.pop(metric), theirs.pop(metric))
    assert_equal(mine, theirs)
    # A launch ends where the host has something to do.
    assert isinstance(recipe, ReplayRecipe)
    ends = {RESET} if name == "bbf" else set()
    if isinstance(recipe.target, HardCopy):
        ends |= {*range(0, counts[-1], recipe.target.period_updates)}
    made = 0
    for _, size in launcher.sizes:
        assert not ends & {*range(made + 1, made + size)}
        made += size
    assert launcher.forgot == (name == "bbf")
    horizons = {key for key, _ in launcher.sizes}
    assert horizons == ({6, 5, 4, 3, 2} if name == "bbf" else {recipe.replay.n_step})


def test_several_minibatches_at_once_are_those_that_are_learned_one_by_one() -> None:
    recipe, launcher = tuned("pqn"), Stacked()
    one, counts = finished(recipe, None)
    several, same_counts = finished(recipe, launcher)
    assert counts == same_counts
    assert launcher.sizes == [("update", 8)] * (counts[-1] // 8)
    mine, theirs = everything(one), everything(several)
    # Metrics count what fills a minibatch like the rest of it, unless they are weighted.
    del mine["metric.q_mean"]
    # It tells minibatches with padding from those without.
    del mine["updates.rollouts"]
    for name, tensor in mine.items():
        # Minibatches of one size are padded, so sums are rounded differently.
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", recipe_names())
def test_all_that_a_step_writes_into_is_named_so_that_it_leaves_no_trace(name: str) -> None:
    training = played(small_recipe(name))
    updates = training.updates
    assert isinstance(updates, (ReplayUpdates, OnPolicyUpdates))
    # The first update makes what is made once: a tree of priorities, minibatches.
    training.update_all_due()
    written = updates._written()
    if isinstance(updates, ReplayUpdates):
        prepared = updates.sampler.prepare(updates.ring, 5, 3, training.progress)
        inputs: tuple[object, ...] = (3, 0.9, *prepared)
    else:
        inputs = updates._shuffled()[0]
    before, saved = everything(training), save(written)
    results = [updates.step(*inputs) for _ in range(2)]  # type: ignore[arg-type]
    assert not equal(before, everything(training))
    put_back(written, saved)
    assert_equal(before, everything(training))
    # And again it does what it did.
    again = [updates.step(*inputs) for _ in range(2)]  # type: ignore[arg-type]
    for one, other in zip(results, again, strict=True):
        assert_equal(one, other)
    training.close()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_padded_minibatches_teach_what_those_of_different_sizes_teach() -> None:
    row, environment = torch.arange(10, 21), torch.arange(11) % 3
    goals = torch.randn(30, 3)
    parts = torch.randperm(11).tensor_split(3)
    cut = as_cut(parts, row, environment, goals, first_row=5)
    assert [len(part[0]) for part in cut] == [4, 4, 3]
    even = padded(parts, row, environment, goals, first_row=5, size=6)
    assert all(len(each) == 6 for part in even for each in part)
    for (rows, environments, goal), (*filled, weights) in zip(cut, even, strict=True):
        count = len(rows)
        assert torch.equal(goal, goals[rows - 5, environments])
        for mine, theirs in zip((rows, environments, goal), filled, strict=True):
            assert torch.equal(mine, theirs[:count])
        assert not weights[count:].any()
        torch.testing.assert_close((weights * filled[2]).mean(), goal.mean())


def test_an_update_from_a_padded_minibatch_is_that_from_the_minibatch() -> None:
    steps = []
    for pads in (False, True):
        training = played(small_recipe("pqn"))
        updates = training.updates
        assert isinstance(updates, OnPolicyUpdates)
        row, environment, goal = updates._shuffled()[0]
        if pads:
            count, size = len(row), 9
            filled = [
                torch.cat((part, part[:1].expand(size - count))) for part in (row, environment)
            ]
            wild = torch.cat((goal, torch.full((size - count,), 1e3)))
            weights = (torch.arange(size) < count) * (size / count)
            updates.step(filled[0], filled[1], wild, weights)
        else:
            updates.step(row, environment, goal)
        steps.append(everything(training))
        training.close()
    for name, tensor in steps[0].items():
        torch.testing.assert_close(tensor, steps[1][name], msg=name)


def test_only_a_cuda_device_with_its_frames_in_its_own_memory_gets_graphs() -> None:
    def nothing() -> Written:
        return Written([], [])

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    on_gpu = Hardware(cuda, torch.bfloat16, 1)
    assert isinstance(make_launcher(on_gpu, "raw", nothing), AsGraphs)
    assert isinstance(make_launcher(on_gpu, "compressed", nothing), Eagerly)
    assert isinstance(
        make_launcher(Hardware(cuda, torch.float32, 1, False), "raw", nothing), Eagerly
    )
    assert isinstance(make_launcher(Hardware(cpu, torch.float32, 1), "raw", nothing), Eagerly)


def test_what_cannot_be_captured_is_said_once_and_called() -> None:
    learner = played(small_recipe("dqn")).learner
    learner.optimizer = torch.optim.SGD(learner.network.parameters(), lr=1.0)
    launcher = AsGraphs(
        Hardware(torch.device("cuda"), torch.float32, 1), lambda: Written(learner.written(), [])
    )

    def step(value: float) -> Results:
        return {"square": torch.tensor(value**2)}

    with pytest.warns(RuntimeWarning, match=r"captured.*SGD may keep counts on the host.*without"):
        first = launcher.run("any", step, [(2.0,), (3.0,)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = launcher.run("any", step, [(4.0,)])
    assert (float(first["square"]), float(second["square"])) == (13.0, 16.0)
    assert launcher.is_refused
    assert launcher.captures == 0


def test_optimizers_are_given_what_their_first_step_would_make() -> None:
    for optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.RAdam):
        weights = [torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2)]
        filled, lazy = (optimizer([weight], lr=0.1) for weight in weights)
        fill_state(filled)
        for each, weight in zip((filled, lazy), weights, strict=True):
            for _ in range(8):
                weight.grad = torch.tensor([0.5, 3.0]) * weight.detach()
                each.step()
        assert torch.equal(*weights)
        for mine, theirs in zip(state_tensors(filled), state_tensors(lazy), strict=True):
            assert torch.equal(mine, theirs)
    make_capturable(filled)
    [group] = filled.param_groups
    assert group["capturable"]
    assert group["lr"].dtype is torch.float32
    assert float(group["lr"]) == pytest.approx(0.1)
