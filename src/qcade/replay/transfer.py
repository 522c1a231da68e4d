"""Moving host tensors to where the networks are, without waiting for the move."""

from __future__ import annotations

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Bring a tensor to a device; a CUDA GPU takes it when it has done what was asked before.

    Writing into the host tensor afterwards changes nothing of what arrives there; on a processor
    nothing is moved, and it is the same tensor.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        # PyTorch keeps the pinned copy until the GPU has read it.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def put(target: Tensor, source: Tensor) -> None:
    """Copy a tensor into another one of its shape, as `send` would."""
    if target.device.type == "cuda" and source.device.type == "cpu":
        target.copy_(source.pin_memory(), non_blocking=True)
    else:
        target.copy_(source)
