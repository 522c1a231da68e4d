"""Losses of quantiles as pure functions on tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def quantile_goals(r_t: Tensor, discount_t: Tensor, quantiles_t: Tensor) -> Tensor:
    """r + discount * each quantile: [B], [B], [B, N] -> [B, N]."""
    return r_t[:, None] + discount_t[:, None] * quantiles_t


def quantile_huber(quantiles: Tensor, taus: Tensor, goals: Tensor, kappa: float) -> Tensor:
    """Quantile regression with a rounded tip (Dabney et al. 2018a, b): -> [B].

    Takes quantiles [B, N], their fractions [B, N] or [N], and samples of the goal [B, M]. For each
    pair, |tau - (error < 0)| * huber(error) / kappa; the mean over goals, the sum over quantiles.
    Division by kappa makes it quantile regression as kappa goes to 0.
    """
    error = goals[:, None, :] - quantiles[:, :, None]
    size = error.abs()
    huber = torch.where(size <= kappa, 0.5 * error.square(), kappa * (size - 0.5 * kappa)) / kappa
    side = (taus[..., None] - (error < 0).to(error.dtype)).abs()
    return (side * huber).mean(2).sum(1)


def absolute_errors(quantiles: Tensor, goals: Tensor) -> Tensor:
    """Sizes of the errors, reduced as in `quantile_huber`: [B, N], [B, M] -> [B], detached."""
    errors = goals[:, None, :] - quantiles.detach()[:, :, None]
    return errors.abs().mean(2).sum(1)
