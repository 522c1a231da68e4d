"""Optimizers whose steps a CUDA GPU can replay without the host."""

from __future__ import annotations

import torch
from torch import Tensor

CAPTURABLE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RAdam)
"""Optimizers with a `capturable` setting whose initial state is all zeros."""


def make_capturable(optimizer: torch.optim.Optimizer) -> None:
    """Keep step counts and learning rates on the device, for optimizers in CAPTURABLE.

    Call it before the first step. Learning rates become tensors, to be filled when they change.
    """
    if not isinstance(optimizer, CAPTURABLE):
        return
    for group in optimizer.param_groups:
        group["capturable"] = True
        device = group["params"][0].device
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)
    # PyTorch warns about steps outside a graph; warm-up runs and checks make them on purpose.
    setattr(optimizer, "_warned_capturable_if_run_uncaptured", True)  # noqa: B010


def fill_state(optimizer: torch.optim.Optimizer) -> None:
    """Create the state that each parameter's first step would create: zeros.

    If a captured step created it, every replay would reset it. Raises RuntimeError for optimizers
    that are not in CAPTURABLE.
    """
    if not isinstance(optimizer, CAPTURABLE):
        raise RuntimeError(f"{type(optimizer).__name__} may keep counts on the host")
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not optimizer.state[parameter]:
                optimizer.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                }


def state_tensors(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """All tensors that a step writes to, other than the parameters."""
    return [slot for slots in optimizer.state.values() for slot in slots.values()]
