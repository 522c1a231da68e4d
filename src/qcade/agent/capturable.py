"""Optimizers whose steps a CUDA GPU can repeat without asking the host."""

from __future__ import annotations

import torch
from torch import Tensor

CAPTURABLE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RAdam)
"""Optimizers that keep their counts on the device if told to, and remember zeros at first."""


def make_capturable(optimizer: torch.optim.Optimizer) -> None:
    """Have counts and step sizes on the device from now on; leave other optimizers as they are.

    To be called before the first step. Step sizes become tensors, to be filled when they change.
    """
    if not isinstance(optimizer, CAPTURABLE):
        return
    for group in optimizer.param_groups:
        group["capturable"] = True
        device = group["params"][0].device
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)
    # PyTorch warns of steps outside of a graph; rehearsals and checks are such steps on purpose.
    setattr(optimizer, "_warned_capturable_if_run_uncaptured", True)  # noqa: B010


def fill_state(optimizer: torch.optim.Optimizer) -> None:
    """Give every parameter the state that its first step would make: zeros.

    A captured step that made it would make it again at every replay. RuntimeError for optimizers
    of which this is not known.
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
    """Everything that a step writes into, beside the parameters."""
    return [slot for slots in optimizer.state.values() for slot in slots.values()]
