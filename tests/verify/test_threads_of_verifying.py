"""A proof takes what the machine has, whatever the run was made to compute on."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import psutil
import pytest

from qcade.compute import cores
from qcade.compute.control_groups import Limits
from qcade.play.session import RunSeeds
from qcade.recipe import Compute
from qcade.recipes.dqn import dqn
from qcade.tape.format import Tape
from qcade.verify.reemulating import reemulate_tape


def test_a_tape_is_played_again_on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    # More threads than the machine has cores are none that the emulators start.
    threads = min(3, cores.available_cores())
    monkeypatch.setattr(cores, "read_limits", lambda: Limits(cpuset_cores=3))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {*range(5)}, raising=False)
    recipe = dataclasses.replace(
        dqn("pong"), environments=4, compute=Compute(device="cpu", threads=1)
    )
    seedings = RunSeeds(recipe.seed, 4).at_start(0, np.ones(4, np.bool_))
    tape = Tape({}, 0, np.zeros((2, 4), np.uint8), seedings, ())
    before, seen = psutil.Process().num_threads(), []
    played = reemulate_tape(
        recipe, tape, (), 0, lambda row, of: seen.append(psutil.Process().num_threads())
    )
    assert played.next_row == 2
    assert seen[0] == before + threads
