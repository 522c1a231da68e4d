"""What the machine is found to have."""

from __future__ import annotations

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
