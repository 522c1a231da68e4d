"""Losses of quantiles as pure functions on tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def quantile_td_targets(r_t: Tensor, discount_t: Tensor, quantiles_t: Tensor) -> Tensor:
    """r + discount * each quantile: [B], [B], [B, N] -> [B, N]."""
    return r_t[:, None] + discount_t[:, None] * quantiles_t


def quantile_huber(quantiles: Tensor, taus: Tensor, td_targets: Tensor, kappa: float) -> Tensor:
    """Quantile Huber loss (Dabney et al. 2018a, b): -> [B].

    Takes quantiles [B, N], their fractions [B, N] or [N], and samples of the target [B, M]. Each
    pair gives |tau - (error < 0)| * huber(error) / kappa; these are averaged over targets and
    summed over quantiles. As kappa goes to 0, it becomes the quantile regression loss.
    """
    error = td_targets[:, None, :] - quantiles[:, :, None]
    size = error.abs()
    huber = torch.where(size <= kappa, 0.5 * error.square(), kappa * (size - 0.5 * kappa)) / kappa
    side = (taus[..., None] - (error < 0).to(error.dtype)).abs()
    return (side * huber).mean(2).sum(1)


def absolute_errors(quantiles: Tensor, td_targets: Tensor) -> Tensor:
    """Absolute errors, reduced as in `quantile_huber`: [B, N], [B, M] -> [B], detached."""
    errors = td_targets[:, None, :] - quantiles.detach()[:, :, None]
    return errors.abs().mean(2).sum(1)
