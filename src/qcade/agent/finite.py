"""Updates are only made by numbers: a loss or gradient that is not finite changes no weight.

On a processor the host looks before the step. A captured CUDA graph must not wait for the host, so
there the step is taken back on the device, counted, and found when somebody asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from qcade.agent.capturable import state_tensors
from qcade.types import NotFinite


class StepGuard(Protocol):
    """Takes the steps of an optimizer, but none that would not be by numbers."""

    def step(self, loss: Tensor, gradient_norm: Tensor, update: int) -> None:
        """Take the step of an update with a number if its loss and gradient, 0-d, are finite."""
        ...

    def check(self, updates: int) -> None:
        """Raise NotFinite if a step was refused since the last check; `updates` were asked for."""
        ...

    def written(self) -> list[Tensor]:
        """The tensors that `step` writes into beside weights and optimizer."""
        ...


class HostGuard:
    """Looks at the loss and the gradient's norm before each step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def step(self, loss: Tensor, gradient_norm: Tensor, update: int) -> None:
        """Take the step; NotFinite, and no step, if a number is missing."""
        for what, value in (("loss", float(loss)), ("norm of the gradient", float(gradient_norm))):
            if not math.isfinite(value):
                raise NotFinite(f"the {what} of update {update:,} is {value}: it was not made")
        self._optimizer.step()

    def check(self, updates: int) -> None:
        """Do nothing: no step was refused without saying so."""

    def written(self) -> list[Tensor]:
        """None."""
        return []


class DeviceGuard:
    """Takes a step back where the device finds that it was not by numbers, and counts it."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]
    ) -> None:
        self._optimizer, self._parameters = optimizer, [*parameters]
        self._refused = torch.zeros((), dtype=torch.int64, device=self._parameters[0].device)

    @torch.no_grad()
    def step(self, loss: Tensor, gradient_norm: Tensor, update: int) -> None:
        """Take the step; where a number is missing, every weight and moment stays as it was."""
        changed: list[Tensor] = [*self._parameters, *state_tensors(self._optimizer)]
        before = [tensor.clone() for tensor in changed]
        self._optimizer.step()
        finite = torch.isfinite(loss) & torch.isfinite(gradient_norm)
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(torch.where(finite, tensor, old))
        self._refused.add_((~finite).to(torch.int64))

    def check(self, updates: int) -> None:
        """Raise NotFinite if a step was refused since the last check; waits for the device."""
        refused = int(self._refused)
        if refused:
            raise NotFinite(
                f"the loss or gradient of {refused:,} updates up to update {updates:,} was not "
                "finite: they were not made"
            )

    def written(self) -> list[Tensor]:
        """The count."""
        return [self._refused]


def make_guard(
    optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], on_device: bool
) -> StepGuard:
    """Choose: on the device where steps are captured."""
    return DeviceGuard(optimizer, parameters) if on_device else HostGuard(optimizer)


def require_finite(tensors: dict[str, Tensor], what: str) -> None:
    """Raise NotFinite if a floating-point tensor holds anything but finite numbers."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NotFinite(f"{what}: {name} holds values that are not finite numbers")
