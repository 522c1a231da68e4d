"""Copying host tensors to the device, without waiting for the copy."""

from __future__ import annotations

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, on a CUDA GPU asynchronously.

    Later writes to the host tensor do not change the copy. On the CPU nothing is copied: the same
    tensor is returned.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        # PyTorch keeps the pinned copy until the GPU has read it.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def put(target: Tensor, source: Tensor) -> None:
    """Copy a tensor into another one of the same shape, in the same way as `send`."""
    if target.device.type == "cuda" and source.device.type == "cpu":
        target.copy_(source.pin_memory(), non_blocking=True)
    else:
        target.copy_(source)
