"""What the machine is found to have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from qcade import machine
from qcade.recipe import Compute

CPU = torch.device("cpu")


def test_bfloat16_rounds_and_is_near() -> None:
    # Equal gradients would mean that bfloat16 was never used.
    assert 1e-4 < machine.bfloat16_error(CPU) < machine.LARGEST_BFLOAT16_ERROR


@pytest.mark.parametrize(
    ("claimed", "largest_error", "expected"),
    [(True, 0.05, torch.bfloat16), (True, 1e-5, torch.float32), (False, 0.05, torch.float32)],
)
def test_bfloat16_is_taken_where_it_is_there_and_agrees(
    claimed: bool, largest_error: float, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = {"avx512_bf16": claimed, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(machine, "LARGEST_BFLOAT16_ERROR", largest_error)
    assert machine.resolve(Compute(device="cpu")).precision is expected


def test_bfloat16_that_is_asked_for_is_given_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LARGEST_BFLOAT16_ERROR", 0.0)
    asked = Compute(device="cpu", precision="bfloat16")
    assert machine.resolve(asked).precision is torch.bfloat16


VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def group(folder: Path, limit: str, used: str, stat: str) -> Path:
    """A folder that looks like a control group's."""
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text(used)
    (folder / "memory.stat").write_text(stat)
    return folder


def test_files_that_lie_in_memory_do_not_count_against_a_container(tmp_path: Path) -> None:
    stat = "anon 300\ninactive_file_of_others 7\ninactive_file 450\nactive_file 50\n"
    folder = group(tmp_path, "1000\n", "800\n", stat)
    assert machine.group_available_bytes(folder, *VERSION_2) == 1000 - 800 + 450


def test_a_container_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    folder = group(tmp_path, "1000\n", "1100\n", "inactive_file 0\n")
    assert machine.group_available_bytes(folder, *VERSION_2) == 0


@pytest.mark.parametrize("limit", ["max\n", ""])
def test_a_container_without_a_limit_has_the_machines_memory(tmp_path: Path, limit: str) -> None:
    folder = group(tmp_path, limit, "1100\n", "inactive_file 0\n")
    assert machine.group_available_bytes(folder, *VERSION_2) is None
    assert machine.group_available_bytes(tmp_path / "none", *VERSION_2) is None


def test_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    there = machine.available_disk_bytes(tmp_path)
    wanted = machine.available_disk_bytes(tmp_path / "not" / "yet")
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
