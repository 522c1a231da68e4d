"""What a run will take, from costs of a decision that are written down here."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from qcade.compute.hardware import Hardware, torch_threads
from qcade.doctor import counting, measuring
from qcade.doctor.estimates import (
    Costs,
    Estimate,
    are_apart,
    enough_emulators,
    estimate,
    learning_seconds,
    measure_costs,
    quick_estimate,
    run_seconds,
    seconds_per_decision,
)
from qcade.doctor.examination import hardware_of
from qcade.doctor.measuring import UpdateTimes, measure_emulators, opened, thread_counts
from qcade.doctor.noise import NoiseEnvironments
from qcade.doctor.report import remarks, sentence, shares, time_of
from qcade.events import Advanced
from qcade.recipe import Recipe
from qcade.recipes import make_recipe
from qcade.recipes.bbf import bbf
from qcade.recipes.dqn import dqn
from qcade.recipes.pqn import pqn
from qcade.recipes.sprint import sprint
from qcade.runs.requirements import predict_requirements
from qcade.training.loop import run
from qcade.training.plan import TrainingPlan, build_training, planned
from qcade.types import TimeStep

from small_training import assert_equal, everything, small_recipe

HARDWARE = Hardware(torch.device("cpu"), torch.float32, 2)
ADDED_UP = Costs(
    emulating=0.001,
    acting=0.002,
    learning=0.005,
    overlaps=False,
    measured_updates=10,
    multiply_adds=1_000_000_000,
)
OVERLAPPING = dataclasses.replace(ADDED_UP, overlaps=True)


def estimated(recipe: Recipe, costs: Costs) -> Estimate:
    """What a run on two cores will take."""
    return estimate(recipe, HARDWARE, costs, predict_requirements(recipe))


def test_on_a_processor_the_parts_add_up() -> None:
    assert seconds_per_decision(ADDED_UP, is_learning=True) == pytest.approx(0.008)
    assert seconds_per_decision(ADDED_UP, is_learning=False) == pytest.approx(0.003)


def test_beside_a_gpu_only_the_slower_of_emulators_and_updates_counts() -> None:
    assert seconds_per_decision(OVERLAPPING, is_learning=True) == pytest.approx(0.007)
    slow_games = dataclasses.replace(OVERLAPPING, emulating=0.01)
    assert seconds_per_decision(slow_games, is_learning=True) == pytest.approx(0.012)
    assert seconds_per_decision(OVERLAPPING, is_learning=False) == pytest.approx(0.003)


@pytest.mark.parametrize(
    ("overlap", "device", "threads", "apart"),
    [
        (True, "cpu", 1, True),
        (True, "cpu", 2, False),
        (False, "cpu", 1, False),
        (True, "cuda", 2, True),
        (False, "cuda", 2, False),
    ],
)
def test_rollouts_that_overlap_are_learned_from_beside_the_emulators_where_cores_are_left(
    overlap: bool, device: str, threads: int, apart: bool
) -> None:
    recipe = pqn("pong")
    recipe = dataclasses.replace(
        recipe, rollouts=dataclasses.replace(recipe.rollouts, overlap=overlap)
    )
    hardware = Hardware(torch.device(device), torch.float32, threads)
    assert are_apart(recipe, hardware, cores=2) is apart


def test_replay_and_emulators_share_a_processor_but_not_a_gpu() -> None:
    assert not are_apart(dqn("pong"), HARDWARE, cores=16)
    beside_a_gpu = dataclasses.replace(HARDWARE, device=torch.device("cuda"))
    assert are_apart(dqn("pong"), beside_a_gpu, cores=16)


def test_a_run_first_fills_its_memory_and_then_learns() -> None:
    # 2,480,000 decisions at 8 ms, 20,000 at 3 ms.
    assert run_seconds(dqn("pong"), ADDED_UP) == pytest.approx(19_840 + 60)
    longer = dataclasses.replace(dqn("pong"), total_frames=20_000_000)
    assert run_seconds(longer, ADDED_UP) == pytest.approx(19_840 + 60 + 20_000)


def test_without_a_memory_to_fill_time_is_proportional_to_frames() -> None:
    recipe = pqn("pong")
    once = run_seconds(recipe, ADDED_UP)
    assert once == pytest.approx(50_000_000 * 0.008)
    half = dataclasses.replace(recipe, total_frames=recipe.total_frames // 2)
    assert run_seconds(half, ADDED_UP) == pytest.approx(once / 2)


def test_updates_are_shared_out_among_decisions() -> None:
    assert learning_seconds(dqn("pong"), UpdateTimes(0.02, 5)) == pytest.approx(0.005)
    assert learning_seconds(bbf("pong"), UpdateTimes(0.02, 5)) == pytest.approx(0.04)
    # 64 updates for 4,096 decisions.
    assert learning_seconds(pqn("pong"), UpdateTimes(0.064, 5)) == pytest.approx(0.001)


@pytest.mark.parametrize("name", ["dqn", "bbf", "pqn"])
def test_memory_and_disk_are_those_that_a_run_is_refused_by(name: str) -> None:
    recipe = make_recipe(name, "pong")
    requirements = predict_requirements(recipe)
    found = estimate(recipe, HARDWARE, ADDED_UP, requirements)
    assert (found.memory_bytes, found.disk_bytes) == (
        requirements.memory_bytes,
        requirements.disk_bytes,
    )


def test_an_estimate_says_what_it_is_of() -> None:
    found = estimated(dqn("pong"), ADDED_UP)
    assert (found.recipe, found.game, found.environments) == ("dqn", "pong", 8)
    assert (found.threads, found.precision, found.total_frames) == (2, "float32", 10_000_000)
    assert found.hours == pytest.approx(19_900 / 3_600)
    assert found.decisions_per_second == pytest.approx(125.0)
    assert shares(found.costs) == pytest.approx((0.625, 0.25, 0.125))
    assert "takes 5.5 h here: 125 decisions/s (updates 62%, acting 25%," in sentence(found)


@pytest.mark.parametrize(
    ("hours", "updates", "words"),
    [
        (0.001, 3, "0.1 min"),
        (0.5, 3, "30 min"),
        (3.26, 3, "3.3 h"),
        (47.0, 3, "47 h"),
        (100.0, 3, "4.2 days"),
        (24_680.0, 3, "1,000 days"),
        (3.26, 0, "about 3.3 h"),
    ],
)
def test_times_for_people(hours: float, updates: int, words: str) -> None:
    found = estimated(dqn("pong"), dataclasses.replace(ADDED_UP, measured_updates=updates))
    assert time_of(dataclasses.replace(found, hours=hours)) == words


def test_an_update_too_heavy_to_measure_is_worked_out() -> None:
    recipe = bbf("pong")
    costs = measure_costs(
        recipe,
        HARDWARE,
        6,
        NoiseEnvironments(1, 84, 84, 6),
        1,
        100.0,
        1.0,
        seconds_per_multiply_add=1e-9,
    )
    assert costs.measured_updates == 0
    assert costs.multiply_adds > 10**10
    assert costs.learning == pytest.approx(2 * costs.multiply_adds * 1e-9)
    assert costs.emulating == pytest.approx(0.01)
    found = estimated(recipe, costs)
    assert time_of(found).startswith("about ")
    assert "billion multiply-adds" in sentence(found)


def measured(plan: TrainingPlan) -> Estimate:
    return quick_estimate(plan, predict_requirements(plan.recipe), seconds=0.05)


# Alone, alone, and with emulators that play beside the updates.
@pytest.mark.parametrize("name", ["catch", "pqn", "sprint"])
def test_measuring_changes_nothing_for_what_follows(name: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    with torch_threads(2), planned(make_recipe(name, "catch")) as plan:
        torch.manual_seed(5)
        found = measured(plan)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.rand(3), expected)
    assert found.costs.measured_updates >= 1
    assert min(found.costs.learning, found.costs.acting, found.costs.emulating, found.hours) > 0


# The torso of btr has buffers that change at every forward for learning.
@pytest.mark.parametrize("name", ["catch", "pqn", "btr"])
def test_the_network_of_a_plan_is_as_it_was_after_it_was_measured(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with planned(make_recipe(name, "catch")) as plan:
        before = {key: value.clone() for key, value in plan.network.state_dict().items()}
        assert any("singular" in key for key in before) is (name == "btr")
        # It is measured itself, and no other one in its place.
        monkeypatch.setattr(measuring, "network_of", None)
        monkeypatch.setattr(counting, "build_q_network", None)
        measured(plan)
        after = plan.network.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(after[key], before[key]) for key in before)
        for parameter in plan.network.parameters():
            assert parameter.requires_grad
            assert parameter.grad is None


def after_a_few_rows(plan: TrainingPlan) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint of a run that has made some updates."""
    training = build_training(plan)
    for event in run(training):
        if isinstance(event, Advanced) and event.updates >= 3:
            break
    return everything(training)


@pytest.mark.parametrize("name", ["dqn", "btr", "sprint"])
def test_a_run_that_was_measured_is_the_run_that_was_not(name: str) -> None:
    recipe = small_recipe(name)
    with planned(recipe) as plan, planned(recipe) as other:
        measured(plan)
        assert_equal(after_a_few_rows(plan), after_a_few_rows(other))


class Watched(NoiseEnvironments):
    """Environments that tell when they were reset and closed."""

    told: list[str]

    def reset(self) -> TimeStep:
        self.told = ["reset"]
        return super().reset()

    def close(self) -> None:
        self.told.append("close")


def test_environments_are_opened_for_as_long_as_they_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(3, 2, 2, 4)
    monkeypatch.setattr(measuring, "open_game", lambda *_: watched)

    def fail() -> None:
        with opened(dqn("pong").game, 3, threads=1) as environments:
            assert measure_emulators(environments, 3, seconds=0.0) > 0
            assert watched.told == ["reset"]
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert watched.told == ["reset", "close"]


def test_of_very_many_emulators_only_some_are_opened() -> None:
    few = dataclasses.replace(dqn("pong"), environments=5)
    many = dataclasses.replace(dqn("pong"), environments=1_000)
    assert [enough_emulators(few, threads) for threads in (1, 8)] == [5, 5]
    assert [enough_emulators(many, threads) for threads in (1, 4, 8)] == [8, 8, 16]


def test_threads_are_given_back_after_a_failure() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        with torch_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert torch.get_num_threads() == before


def test_thread_counts_are_powers_of_two_up_to_all_cores() -> None:
    assert thread_counts(1) == [1]
    assert thread_counts(2) == [1, 2]
    assert thread_counts(6) == [1, 2, 4, 6]
    assert thread_counts(8) == [1, 2, 4, 8]


def test_a_memory_that_does_not_fit_is_remarked_upon() -> None:
    recipe = dqn("pong")
    fitting = estimated(dataclasses.replace(recipe, total_frames=1_000), ADDED_UP)
    replay = dataclasses.replace(recipe.replay, capacity=10**12)
    endless = dataclasses.replace(recipe, total_frames=10**13, replay=replay)
    too_large = estimated(endless, ADDED_UP)
    assert (fitting.fits_memory, too_large.fits_memory) == (True, False)
    disk = max(fitting.disk_bytes, too_large.disk_bytes)
    assert remarks(fitting, disk) == ""
    assert remarks(too_large, disk) == "too little memory: --fit halves the replay"
    assert remarks(fitting, 0) == "too little disk"


def test_a_recipe_that_names_its_device_is_measured_there() -> None:
    fastest = Hardware(torch.device("cuda"), torch.bfloat16, 2)
    assert hardware_of(dqn("pong"), fastest) == fastest
    own = hardware_of(sprint("pong"), fastest)
    assert (own.device.type, own.threads) == ("cpu", 1)
