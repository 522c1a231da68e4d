"""What a run will take, from costs of a decision that are written down here."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from qcade.doctor.estimates import (
    Costs,
    are_apart,
    estimate,
    learning_seconds,
    measure_costs,
    quick_estimate,
    run_seconds,
    seconds_per_decision,
)
from qcade.doctor.examination import hardware_of
from qcade.doctor.measuring import UpdateTimes, thread_counts
from qcade.doctor.report import remarks, sentence, shares, time_of
from qcade.machine import Hardware, torch_threads
from qcade.recipes import make_recipe
from qcade.recipes.bbf import bbf
from qcade.recipes.dqn import dqn
from qcade.recipes.pqn import pqn
from qcade.recipes.sprint import sprint
from qcade.runs.needs import predict_needs

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
    found, needs = estimate(recipe, HARDWARE, ADDED_UP), predict_needs(recipe)
    assert (found.memory_bytes, found.disk_bytes) == (needs.memory_bytes, needs.disk_bytes)


def test_an_estimate_says_what_it_is_of() -> None:
    found = estimate(dqn("pong"), HARDWARE, ADDED_UP)
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
    found = estimate(dqn("pong"), HARDWARE, dataclasses.replace(ADDED_UP, measured_updates=updates))
    assert time_of(dataclasses.replace(found, hours=hours)) == words


def test_an_update_too_heavy_to_measure_is_worked_out() -> None:
    recipe = bbf("pong")
    costs = measure_costs(recipe, HARDWARE, 6, 100.0, 1.0, seconds_a_multiply_add=1e-9)
    assert costs.measured_updates == 0
    assert costs.multiply_adds > 10**10
    assert costs.learning == pytest.approx(2 * costs.multiply_adds * 1e-9)
    assert costs.emulating == pytest.approx(0.01)
    found = estimate(recipe, HARDWARE, costs)
    assert time_of(found).startswith("about ")
    assert "billion multiply-adds" in sentence(found)


@pytest.mark.parametrize("name", ["catch", "pqn"])
def test_measuring_changes_nothing_for_what_follows(name: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    with torch_threads(2):
        torch.manual_seed(5)
        found = quick_estimate(make_recipe(name, "catch"), seconds=0.05)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.rand(3), expected)
    assert found.costs.measured_updates >= 1
    assert min(found.costs.learning, found.costs.acting, found.costs.emulating, found.hours) > 0


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
    fitting = estimate(dataclasses.replace(recipe, total_frames=1_000), HARDWARE, ADDED_UP)
    replay = dataclasses.replace(recipe.replay, capacity=10**12)
    endless = dataclasses.replace(recipe, total_frames=10**13, replay=replay)
    too_large = estimate(endless, HARDWARE, ADDED_UP)
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
