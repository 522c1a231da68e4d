"""Image augmentation: small random shifts and changes of brightness (Yarats et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_DEVIATIONS = 2.0


def augmented(
    observations: Tensor, shift_pixels: int, intensity: float, generator: torch.Generator | None
) -> Tensor:
    """Shift each observation and scale its brightness: [B, S, H, W] -> float [B, S, H, W].

    All S frames of an observation change alike; values may exceed 255. Without a generator, only
    convert to float.
    """
    if generator is None:
        return observations.float()
    count = len(observations)
    device = observations.device
    shifts = torch.randint(
        -shift_pixels, shift_pixels + 1, (2, count), generator=generator, device=device
    )
    factors = torch.randn(count, generator=generator, device=device)
    factors = 1.0 + intensity * factors.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
    return shifted(observations, shifts[0], shifts[1]).float() * factors[:, None, None, None]


def shifted(observations: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each picture, [B, S, H, W], by int64 [B] pixels; edge pixels fill the gap."""
    height, width = observations.shape[-2:]
    device = observations.device
    rows = (torch.arange(height, device=device) - down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) - right[:, None]).clamp(0, width - 1)
    batch = torch.arange(len(observations), device=device)[:, None, None]
    moved = observations[batch, :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)
