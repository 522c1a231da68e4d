"""Running steps: one by one or several at once, the run is the same."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor

from qcade.agent.resets import ShrinkAndPerturb
from qcade.agent.targets import HardCopy
from qcade.algorithms.c51 import C51
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.compute.capturable import fill_state, make_capturable, state_tensors
from qcade.compute.cuda_graph import MutableState, Results, restore_state, save_state
from qcade.compute.hardware import Hardware
from qcade.compute.runners import (
    MAX_STEPS_PER_GRAPH,
    EagerRunner,
    GraphRunner,
    Plan,
    Step,
    make_runner,
    stack,
    summed,
    unstack,
)
from qcade.events import Advanced
from qcade.networks.streams import SharedDueling
from qcade.recipe import Horizon, Recipe, ReplayRecipe
from qcade.recipes import recipe_names
from qcade.replay.storage import StorageKind
from qcade.training.loop import make_runners, run, update
from qcade.training.parts import Training
from qcade.training.plan import build_training, plan_training
from qcade.training.replay_source import ReplaySource
from qcade.training.rollout_source import NO_N_STEP, Decisions, RolloutSource, as_cut, padded

from small_training import (
    assert_equal,
    due_plans,
    everything,
    make_due_updates,
    played,
    small_recipe,
)

RESET = 26
ON_GPU = Hardware(torch.device("cuda"), torch.float32, 1)


class Stacked:
    """Runs steps as graphs do, without any: inputs come as slices of stacked tensors."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.sizes: list[tuple[int, int]] = []
        self.forgot = 0

    def run(self, plans: Sequence[Plan]) -> Results:
        n_step = plans[0].n_step
        self.sizes.append((n_step, len(plans)))
        return summed(self.step, unstack(n_step, stack(plans), len(plans)))

    def forget(self) -> None:
        self.forgot += 1


def test_inputs_are_stacked_place_by_place_and_taken_apart_again() -> None:
    plans = [Plan(4, (torch.tensor([i, 2]), 7 * i, 0.1 + i)) for i in range(3)]
    numbers, whole, fractions = stack(plans)
    assert numbers.tolist() == [[0, 2], [1, 2], [2, 2]]
    assert (whole.dtype, whole.tolist()) == (torch.int64, [0, 7, 14])
    assert (fractions.dtype, fractions.tolist()) == (torch.float64, [0.1, 1.1, 2.1])
    apart = unstack(4, [numbers, whole, fractions], 3)
    assert [[torch.as_tensor(part).tolist() for part in plan.inputs] for plan in apart] == [
        [[i, 2], 7 * i, 0.1 + i] for i in range(3)
    ]
    assert {plan.n_step for plan in apart} == {4}
    assert all(isinstance(part, Tensor) for plan in apart for part in plan.inputs)
    assert unstack(0, stack([Plan(0, ())]), 1) == [Plan(0, ())]


def test_results_are_added_up_in_order() -> None:
    told: list[float] = []

    def step(plan: Plan) -> Results:
        [value] = map(float, plan.inputs)
        told.append(value)
        return {"one": torch.tensor(value), "square": torch.tensor(value**2)}

    sums = summed(step, [Plan(0, (value,)) for value in (1.0, 2.0, 3.0)])
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


def finished(recipe: Recipe) -> tuple[Training, list[int]]:
    """A training that made its updates one by one, and how many after each row."""
    training = build_training(plan_training(recipe))
    counts = [event.updates for event in run(training) if isinstance(event, Advanced)]
    training.close()
    return training, counts


def finished_by_several(recipe: Recipe) -> tuple[Training, list[int], Stacked]:
    """The same with several updates at once, as graphs make them."""
    training = build_training(plan_training(recipe))
    assert isinstance(training.source, (ReplaySource, RolloutSource))
    training.source.max_updates_per_graph = MAX_STEPS_PER_GRAPH
    stacked = Stacked(partial(update, training))
    runners = make_runners(training)._replace(update=stacked)
    counts = [event.updates for event in run(training, runners) if isinstance(event, Advanced)]
    training.close()
    return training, counts, stacked


@pytest.mark.parametrize("name", ["dqn", "rainbow", "bbf"])
def test_several_updates_at_once_are_those_that_are_made_one_by_one(name: str) -> None:
    recipe = tuned(name)
    one, counts = finished(recipe)
    several, same_counts, stacked = finished_by_several(recipe)
    assert counts == same_counts
    assert sum(size for _, size in stacked.sizes) == counts[-1] >= 35
    assert {size for _, size in stacked.sizes} == {1, 2, 4}
    mine, theirs = everything(one), everything(several)
    for metric in [key for key in mine if key.startswith("metric_sums.")]:
        # Sums of sums.
        torch.testing.assert_close(mine.pop(metric), theirs.pop(metric))
    assert_equal(mine, theirs)
    # A run of several ends where the host has something to do.
    assert isinstance(recipe, ReplayRecipe)
    ends = {RESET} if name == "bbf" else set()
    if isinstance(recipe.target, HardCopy):
        ends |= {*range(0, counts[-1], recipe.target.period_updates)}
    made = 0
    for _, size in stacked.sizes:
        assert not ends & {*range(made + 1, made + size)}
        made += size
    assert stacked.forgot == (name == "bbf")
    horizons = {n_step for n_step, _ in stacked.sizes}
    assert horizons == ({6, 5, 4, 3, 2} if name == "bbf" else {recipe.replay.n_step})


def test_several_minibatches_at_once_are_those_that_are_learned_one_by_one() -> None:
    recipe = tuned("pqn")
    one, counts = finished(recipe)
    several, same_counts, stacked = finished_by_several(recipe)
    assert counts == same_counts
    assert stacked.sizes == [(NO_N_STEP, 8)] * (counts[-1] // 8)
    mine, theirs = everything(one), everything(several)
    # Metrics count what fills a minibatch like the rest of it, unless they are weighted.
    del mine["metric_sums.q_mean"]
    # It tells minibatches with padding from those without.
    del mine["source.rollouts"]
    for name, tensor in mine.items():
        # Minibatches of one size are padded, so sums are rounded differently.
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", recipe_names())
def test_all_that_a_step_writes_into_is_named_so_that_it_leaves_no_trace(name: str) -> None:
    training = played(small_recipe(name))
    # The first update makes what is made once: a tree of priorities, minibatches.
    make_due_updates(training, make_runners(training))
    on_gpu = make_runners(dataclasses.replace(training, hardware=ON_GPU))
    assert isinstance(on_gpu.update, GraphRunner)
    mutable = on_gpu.update._mutable_state()
    [plan] = training.source.next_plans(training.clock, 1)
    before, saved = everything(training), save_state(mutable)
    results = [update(training, plan) for _ in range(2)]
    assert not equal(before, everything(training))
    restore_state(mutable, saved)
    assert_equal(before, everything(training))
    # And again it does what it did.
    again = [update(training, plan) for _ in range(2)]
    for one, other in zip(results, again, strict=True):
        assert_equal(one, other)
    training.close()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_padded_minibatches_teach_what_those_of_different_sizes_teach() -> None:
    row, environment = torch.arange(10, 21), torch.arange(11) % 3
    decisions = Decisions(row, environment, returns=torch.randn(30, 3), first_row=5)
    parts = torch.randperm(11).tensor_split(3)
    cut = [tensors(plan) for plan in as_cut(parts, decisions)]
    assert [len(part[0]) for part in cut] == [4, 4, 3]
    even = [tensors(plan) for plan in padded(parts, decisions, size=6)]
    assert all(len(each) == 6 for part in even for each in part)
    for (rows, environments, returns), (*filled, weights) in zip(cut, even, strict=True):
        count = len(rows)
        assert torch.equal(returns, decisions.returns[rows - 5, environments])
        for mine, theirs in zip((rows, environments, returns), filled, strict=True):
            assert torch.equal(mine, theirs[:count])
        assert not weights[count:].any()
        torch.testing.assert_close((weights * filled[2]).mean(), returns.mean())


def tensors(plan: Plan) -> list[Tensor]:
    """What a plan is made from, where no number is among it."""
    return [value for value in plan.inputs if isinstance(value, Tensor)]


def test_an_update_from_a_padded_minibatch_is_that_from_the_minibatch() -> None:
    steps = []
    for pads in (False, True):
        training = played(small_recipe("pqn"))
        [plan] = next(due_plans(training))
        if pads:
            row, environment, returns = tensors(plan)
            count, size = len(row), 9
            filled = [
                torch.cat((part, part[:1].expand(size - count))) for part in (row, environment)
            ]
            wild = torch.cat((returns, torch.full((size - count,), 1e3)))
            weights = (torch.arange(size) < count) * (size / count)
            plan = Plan(NO_N_STEP, (*filled, wild, weights))
        update(training, plan)
        steps.append(everything(training))
        training.close()
    for name, tensor in steps[0].items():
        torch.testing.assert_close(tensor, steps[1][name], msg=name)


def test_only_a_cuda_device_gets_graphs_unless_they_are_turned_off() -> None:
    def step(plan: Plan) -> Results:
        return {}

    def runner_on(hardware: Hardware) -> EagerRunner | GraphRunner:
        return make_runner(step, hardware, lambda: MutableState([], []))

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert isinstance(runner_on(Hardware(cuda, torch.bfloat16, 1)), GraphRunner)
    assert isinstance(runner_on(Hardware(cuda, torch.float32, 1, False)), EagerRunner)
    assert isinstance(runner_on(Hardware(cpu, torch.float32, 1)), EagerRunner)


@pytest.mark.parametrize("storage", ["raw", "compressed"])
def test_only_a_device_with_its_frames_in_its_own_memory_gets_graphs(storage: StorageKind) -> None:
    recipe = small_recipe("dqn")
    assert isinstance(recipe, ReplayRecipe)
    replay = dataclasses.replace(recipe.replay, storage=storage)
    plan = plan_training(dataclasses.replace(recipe, replay=replay))
    plan.environments.close()
    assert plan.storage == storage
    on_gpu = dataclasses.replace(plan.hardware, device=torch.device("cuda"))
    assert on_gpu.captures == (storage == "raw")


def test_what_cannot_be_captured_is_said_once_and_called() -> None:
    learner = played(small_recipe("dqn")).learner
    learner.optimizer = torch.optim.SGD(learner.network.parameters(), lr=1.0)

    def step(plan: Plan) -> Results:
        [value] = map(float, plan.inputs)
        return {"square": torch.tensor(value**2)}

    runner = GraphRunner(step, ON_GPU, lambda: MutableState(learner.mutable_tensors(), []))
    with pytest.warns(RuntimeWarning, match=r"captured.*SGD may keep counts on the host.*without"):
        first = runner.run([Plan(0, (2.0,)), Plan(0, (3.0,))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = runner.run([Plan(0, (4.0,))])
    assert (float(first["square"]), float(second["square"])) == (13.0, 16.0)
    assert runner.is_refused
    assert runner.captures == 0


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
