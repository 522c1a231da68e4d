"""What the machine is found to have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from qcade.compute import cores as cores_module
from qcade.compute import hardware
from qcade.compute.control_groups import Limits
from qcade.games.atari import Atari
from qcade.recipe import Compute

CPU = torch.device("cpu")


def test_bfloat16_rounds_and_is_near() -> None:
    # Equal gradients would mean that bfloat16 was never used.
    assert 1e-4 < hardware.bfloat16_error(CPU) < hardware.LARGEST_BFLOAT16_ERROR


@pytest.mark.parametrize(
    ("claimed", "largest_error", "expected"),
    [(True, 0.05, torch.bfloat16), (True, 1e-5, torch.float32), (False, 0.05, torch.float32)],
)
def test_bfloat16_is_taken_where_it_is_there_and_agrees(
    claimed: bool, largest_error: float, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = {"avx512_bf16": claimed, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(hardware, "LARGEST_BFLOAT16_ERROR", largest_error)
    assert hardware.resolve(Compute(device="cpu")).precision is expected


def test_bfloat16_that_is_asked_for_is_given_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "LARGEST_BFLOAT16_ERROR", 0.0)
    asked = Compute(device="cpu", precision="bfloat16")
    assert hardware.resolve(asked).precision is torch.bfloat16


def limited(monkeypatch: pytest.MonkeyPatch, limits: Limits, cores: int = 4) -> None:
    """Let the machine say that it has so many cores, and that control groups set these limits."""
    monkeypatch.setattr(hardware, "read_limits", lambda: limits)
    monkeypatch.setattr(cores_module, "read_limits", lambda: limits)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {*range(cores)}, raising=False)


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        (Limits(), 4),
        (Limits(quota_cores=0.5), 1),
        (Limits(quota_cores=1.5), 2),
        (Limits(quota_cores=16.0), 4),
        (Limits(quota_cores=3.0, cpuset_cores=2), 2),
    ],
)
def test_cores_are_those_that_a_container_may_keep_busy(
    monkeypatch: pytest.MonkeyPatch, limits: Limits, cores: int
) -> None:
    limited(monkeypatch, limits)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert cores_module.available_cores() == cores
    assert hardware.resolve(Compute(device="cpu")).threads == cores
    assert hardware.resolve(Compute(device="cpu", threads=7)).threads == 7


@pytest.mark.parametrize(
    ("variable", "threads"),
    [
        ("1", 1),
        (" 3 ", 3),
        ("02", 2),
        ("8", 4),
        ("2,4", 2),
        ("3,", 3),
        ("", 4),
        ("0", 4),
        ("-1", 4),
        ("1.5", 4),
        ("two", 4),
        ("2 cores", 4),
        ("9" * 5000, 4),
        ("\u00b2", 4),
    ],
)
def test_no_more_threads_are_taken_than_openmp_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, threads: int
) -> None:
    limited(monkeypatch, Limits())
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert hardware.resolve(Compute(device="cpu")).threads == threads
    # What a recipe names is what it gets.
    assert hardware.resolve(Compute(device="cpu", threads=6)).threads == 6


def test_emulators_on_all_cores_keep_to_those_of_the_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited(monkeypatch, Limits(quota_cores=0.5), cores=8)
    before = psutil.Process().num_threads()
    environments = Atari("pong").open(3, 0)
    try:
        assert psutil.Process().num_threads() == before + 1
    finally:
        environments.close()


def test_memory_is_that_of_the_tightest_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "read_limits", Limits)
    free = hardware.available_memory()
    assert free.bytes > 10**8
    assert free.limit == ""
    monkeypatch.setattr(hardware, "read_limits", lambda: Limits(memory_bytes=12_345))
    assert hardware.available_memory(CPU) == (12_345, "limit of the container")
    assert hardware.available_memory_bytes(CPU) == 12_345
    monkeypatch.setattr(hardware, "read_limits", lambda: Limits(memory_bytes=2**59))
    assert hardware.available_memory(CPU).limit == ""


def test_memory_that_nobody_can_tell_is_no_reason_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(hardware, "read_limits", Limits)
    monkeypatch.setattr(psutil, "virtual_memory", fail)
    assert hardware.available_memory_bytes() >= 2**40
    monkeypatch.setattr(hardware, "read_limits", lambda: Limits(memory_bytes=5))
    assert hardware.available_memory_bytes() == 5


@pytest.mark.skipif(sys.platform != "linux", reason="nothing keeps to such a limit there")
def test_address_space_is_a_limit_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(hardware, "read_limits", Limits)
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = psutil.Process().memory_info().vms + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        available = hardware.available_memory()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert available.limit == "limit of ulimit -v"
    assert 2**29 < available.bytes <= 2**30


def test_threads_of_a_while_are_given_back() -> None:
    before = torch.get_num_threads()
    with hardware.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with hardware.torch_threads(before):
        torch.set_num_threads(before + 2)
    assert torch.get_num_threads() == before


def test_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    there = hardware.available_disk_bytes(tmp_path)
    wanted = hardware.available_disk_bytes(tmp_path / "not" / "yet")
    assert wanted == pytest.approx(there, abs=2**30)


SAY_SPIN_COUNT = "import qcade, torch; torch.set_num_threads(2); torch.ones(9).sum()"


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's OpenMP is another one there")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
)
def test_threads_wait_briefly_unless_asked_otherwise(asked: dict[str, str], expected: str) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", SAY_SPIN_COUNT],
        env={**inherited, **asked, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    if not found:
        pytest.skip("this PyTorch has another OpenMP than GNU's")
    assert found == [expected] * len(found)
