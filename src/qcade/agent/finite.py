"""Guards against NaN and infinity: a loss or gradient that is not finite changes no weight.

On a CPU the host checks before each step. A captured CUDA graph must not wait for the host: there
the device undoes the step and counts it, and `StepGuard.check` reads the count later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from qcade.compute.capturable import state_tensors
from qcade.types import NotFinite


class StepGuard(Protocol):
    """Takes an optimizer's steps, except those whose loss or gradient is not finite."""

    def step(self, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take the step if its loss and gradient norm, both 0-d, are finite."""
        ...

    def check(self, updates: int) -> None:
        """Raise NotFinite if any step was refused; `updates` is the number requested so far."""
        ...

    def mutable_tensors(self) -> list[Tensor]:
        """The tensors that `step` writes to, other than weights and optimizer state."""
        ...


class HostGuard:
    """Checks the loss and the gradient norm on the host before each step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def step(self, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take the step; raise NotFinite instead if the loss or gradient norm is not finite."""
        for what, value in (("loss", float(loss)), ("gradient norm", float(gradient_norm))):
            if not math.isfinite(value):
                raise NotFinite(f"the {what} is {value}")
        self._optimizer.step()

    def check(self, updates: int) -> None:
        """Do nothing: `step` raises at once."""

    def mutable_tensors(self) -> list[Tensor]:
        """Empty: `step` writes to nothing else."""
        return []


class DeviceGuard:
    """Undoes steps on the device if their loss or gradient is not finite, and counts them."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]
    ) -> None:
        self._optimizer, self._parameters = optimizer, [*parameters]
        self._refused = torch.zeros((), dtype=torch.int64, device=self._parameters[0].device)

    @torch.no_grad()
    def step(self, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take the step; if it is not finite, weights and optimizer state stay unchanged."""
        changed: list[Tensor] = [*self._parameters, *state_tensors(self._optimizer)]
        before = [tensor.clone() for tensor in changed]
        self._optimizer.step()
        finite = torch.isfinite(loss) & torch.isfinite(gradient_norm)
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(torch.where(finite, tensor, old))
        self._refused.add_((~finite).to(torch.int64))

    def check(self, updates: int) -> None:
        """Raise NotFinite if any step was refused; waits for the device."""
        refused = int(self._refused)
        if refused:
            raise NotFinite(
                f"{refused:,} updates up to update {updates:,} were not made: "
                "their loss or gradient was not finite"
            )

    def mutable_tensors(self) -> list[Tensor]:
        """The count of refused steps."""
        return [self._refused]


def make_guard(
    optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], on_device: bool
) -> StepGuard:
    """Make a `DeviceGuard` if steps are captured (`on_device`), else a `HostGuard`."""
    return DeviceGuard(optimizer, parameters) if on_device else HostGuard(optimizer)


def require_finite(tensors: dict[str, Tensor], what: str) -> None:
    """Raise NotFinite if a floating-point tensor holds NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NotFinite(f"{what}: {name} holds values that are not finite numbers")
