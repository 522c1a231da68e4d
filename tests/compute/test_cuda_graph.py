"""Captured steps against called ones: the comparison anywhere, the graphs where there is a GPU."""

from __future__ import annotations

import dataclasses
import math
import warnings

import pytest
import torch
from torch import Tensor

from qcade.compute.cuda_graph import MutableState, SavedState, disagreement, run_and_restore
from qcade.compute.runners import TOLERANCES, GraphRunner
from qcade.events import Advanced
from qcade.recipe import Compute
from qcade.recipes import recipe_names
from qcade.training.loop import NO_INPUT, Runners, make_runners, run
from qcade.training.plan import build_training, plan_training
from qcade.training.snapshot import restore, take_snapshot

from small_training import (
    everything,
    make_due_updates,
    make_next_updates,
    played,
    small_recipe,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")


def saved(*values: list[float], state: int = 0) -> SavedState:
    return SavedState([torch.tensor(v) for v in values], [torch.tensor([state], dtype=torch.uint8)])


def test_outcomes_that_are_the_same_do_not_disagree_even_if_nothing_changed() -> None:
    before = saved([0.0, 0.0], [3.0])
    assert disagreement(before, before, before) == 0.0
    assert disagreement(before, saved([1.0, 2.0], [3.0]), saved([1.0, 2.0], [3.0])) == 0.0


def test_disagreement_is_measured_against_what_changed() -> None:
    before = saved([100.0, 0.0])
    # Both moved by 3 and 4; one of them by a tenth of that less.
    found = disagreement(before, saved([103.0, 4.0]), saved([102.7, 3.6]))
    assert found == pytest.approx(0.5 / (5.0 + 1e-3 * math.hypot(103.0, 4.0)), rel=1e-5)
    # A step that was missed altogether differs by all of the change, or nearly.
    assert disagreement(before, saved([103.0, 4.0]), before) > 0.95
    assert disagreement(before, before, saved([103.0, 4.0])) > 1.0


def test_what_a_function_returns_counts_from_zero() -> None:
    before = saved([1.0])
    found = disagreement(before, saved([2.0], [1.0]), saved([1.0], [1.0]))
    assert found == pytest.approx(1.0 / (2.0 + 2e-3))


def test_other_draws_and_nans_disagree_wholly() -> None:
    before = saved([1.0])
    assert disagreement(before, saved([2.0]), saved([2.0], state=4)) == math.inf
    assert disagreement(before, saved([2.0]), saved([math.nan])) == math.inf
    assert disagreement(saved([0.0]), saved([0.0]), saved([1.0])) == math.inf


def test_an_outcome_is_copied_and_leaves_no_trace() -> None:
    weight, noise = torch.ones(2, requires_grad=True), torch.Generator().manual_seed(3)
    mutable = MutableState([weight], [noise])

    def step() -> dict[str, Tensor]:
        with torch.no_grad():
            weight.mul_(3.0)
        return {"b": torch.rand(1, generator=noise), "a": weight.detach()}

    first, second = run_and_restore(step, mutable), run_and_restore(step, mutable)
    assert [tensor.tolist() for tensor in first.tensors[::2]] == [[3.0, 3.0], [3.0, 3.0]]
    assert disagreement(SavedState([torch.ones(2)], []), first, second) == 0.0
    assert weight.tolist() == [1.0, 1.0]
    assert torch.equal(noise.get_state(), torch.Generator().manual_seed(3).get_state())


def on_gpu(precision: str = "float32", graphs: bool = True) -> Compute:
    return Compute(device="cuda", precision=precision, threads=1, graphs=graphs)  # type: ignore[arg-type]


def as_graphs(runners: Runners) -> list[GraphRunner]:
    found = [runner for runner in runners if isinstance(runner, GraphRunner)]
    assert len(found) == len(runners)
    return found


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", recipe_names())
def test_captured_updates_are_the_called_ones(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    trainings = [played(small_recipe(name, on_gpu(precision, graphs))) for graphs in (False, True)]
    runners = [make_runners(training) for training in trainings]
    before = {k: v.clone() for k, v in trainings[0].learner.network.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for training, its_runners in zip(trainings, runners, strict=True):
            make_due_updates(training, its_runners)
            its_runners.value.run([NO_INPUT])
    for runner in as_graphs(runners[1]):
        assert not runner.is_refused
        assert runner.captures >= 1
        assert runner.largest_disagreement <= TOLERANCES[trainings[1].hardware.precision]
    called, captured = (training.learner.network.state_dict() for training in trainings)
    for weight, tensor in called.items():
        apart, step = (
            float((tensor.double() - other[weight].double()).norm()) for other in (captured, before)
        )
        # Rounding may be different; where all steps were missed, they are as far apart as a step.
        assert apart <= 0.1 * step + 1e-6, weight
    assert trainings[0].clock.updates == trainings[1].clock.updates > 0
    for training in trainings:
        training.close()


@needs_cuda
@pytest.mark.parametrize("name", ["dqn", "rainbow", "pqn", "spr"])
def test_no_graph_is_captured_twice(name: str) -> None:
    recipe = dataclasses.replace(small_recipe(name, on_gpu()), total_frames=300)
    training = build_training(plan_training(recipe))
    runners = make_runners(training)
    captures = [
        [runner.captures for runner in as_graphs(runners)]
        for event in run(training, runners)
        if isinstance(event, Advanced) and event.updates
    ]
    training.close()
    assert len(captures) > 20
    # One for each power of 2 that occurs, all of them soon.
    assert captures[len(captures) // 2] == captures[-1]
    assert max(captures[-1]) <= 5


@needs_cuda
@pytest.mark.parametrize("name", ["dqn", "rainbow", "iqn", "pqn"])
def test_a_run_on_a_gpu_goes_on_from_a_snapshot_as_if_nothing_had_happened(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    recipe = small_recipe(name, on_gpu())
    one = played(recipe)
    runners = make_runners(one)
    make_due_updates(one, runners)
    rows = one.ring.read_rows(one.ring.oldest_row, one.session.next_row)
    other = build_training(plan_training(recipe))
    restore(other, take_snapshot(one))
    other.ring.start_at(one.ring.oldest_row, one.ring.opening_row)
    other.ring.append_rows(rows)
    make_next_updates(one, runners, 8)
    make_next_updates(other, make_runners(other), 8)
    assert one.clock == other.clock
    mine, theirs = everything(one), everything(other)
    for name_, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name_], rtol=1e-4, atol=1e-6, msg=name_)
    for training in (one, other):
        training.close()


@needs_cuda
def test_between_the_actions_and_the_frames_nothing_waits_for_the_gpu() -> None:
    training = played(small_recipe("rainbow", on_gpu()))
    runners = make_runners(training)
    make_due_updates(training, runners)
    runner = as_graphs(runners)[1]
    captures = runner.captures
    with warnings.catch_warnings():
        # PyTorch says of this mode that it does not see everything.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
        try:
            make_due_updates(training, runners)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    training.close()
    # A second capture would have waited, been refused, and left calls to be looked at.
    assert not runner.is_refused
    assert runner.captures == captures
