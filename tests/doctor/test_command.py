"""`qcade doctor`, and what `qcade train` says before it starts."""

from __future__ import annotations

import dataclasses
import json

import pytest

from qcade.cli.doctor import say_what_it_will_take
from qcade.compute.cores import available_cores
from qcade.recipes import make_recipe
from qcade.runs.requirements import predict_requirements
from qcade.training.plan import planned

from command import qcade

CATCH = "doctor --game catch --recipes catch pqn --seconds 0.5"


def test_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    answer = qcade(f"{CATCH} --json", capsys)
    assert answer.code == 0
    found = json.loads(answer.out)
    assert found.keys() == {
        "machine",
        "memory_bytes_per_second",
        "emulators",
        "updates",
        "best",
        "multiply_adds_per_second",
        "recipes",
    }
    assert found["machine"]["cores"] == available_cores()
    measured = {(speed["environments"], speed["threads"]) for speed in found["emulators"]}
    assert {(1, 1), (8, 1), (32, 1), (32, available_cores())} <= measured
    assert all(speed["decisions_per_second"] > 0 for speed in found["emulators"])
    assert found["best"] == max(found["updates"], key=lambda u: float(u["updates_per_second"]))
    assert [recipe["recipe"] for recipe in found["recipes"]] == ["catch", "pqn"]
    for recipe in found["recipes"]:
        requirements = predict_requirements(make_recipe(recipe["recipe"], "catch"))
        assert recipe["memory_bytes"] == requirements.memory_bytes
        assert recipe["hours"] > 0
        assert recipe["costs"]["learning"] > 0


def test_people_get_a_line_for_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    lines = qcade(CATCH, capsys).out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert "0.006M" in rows["catch"]
    assert "0.03M" in rows["pqn"]
    assert any(line.startswith("Updates are fastest in ") for line in lines)


def test_an_unknown_recipe_is_said_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = qcade("doctor --recipes dqn rainbov", capsys)
    assert answer.code == 2
    assert 'unknown recipe "rainbov": did you mean rainbow' in answer.err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9"])
def test_a_measurement_without_time_is_refused(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = qcade(f"doctor --game catch --recipes catch --seconds={seconds}", capsys)
    assert answer.code == 2
    assert "it must be from 0.1 to 3,600" in answer.err


def test_a_long_run_is_told_what_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = dataclasses.replace(make_recipe("catch", "catch"), total_frames=100_000)
    requirements = predict_requirements(recipe)
    with planned(recipe, requirements.storage) as plan:
        say_what_it_will_take(plan, requirements)
        said = capsys.readouterr().out
        assert said.startswith("The whole run takes ")
        assert f"{requirements.memory_bytes / 1e9:,.1f} GB of memory" in said
        short = dataclasses.replace(recipe, total_frames=99_999)
        say_what_it_will_take(dataclasses.replace(plan, recipe=short), requirements)
        assert capsys.readouterr().out == ""
