"""Losses of distributions over fixed atoms or bins, as pure functions on tensors.

They use no matrix products, which autocast would compute in bfloat16, and no scatter-add, whose
order of additions varies on a GPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qcade.types import QcadeError


def evenly_spaced(
    v_min: float, v_max: float, count: int, device: torch.device | None = None
) -> Tensor:
    """Space `count` returns evenly from `v_min` to `v_max`: float32 [count].

    Raises QcadeError unless both are finite and in order.
    """
    if not -math.inf < v_min < v_max < math.inf:
        raise QcadeError(
            f"algorithm: v_min = {v_min:g} and v_max = {v_max:g} must be finite and in order"
        )
    return torch.linspace(v_min, v_max, count, device=device)


def categorical_projection(locations: Tensor, probabilities: Tensor, atoms: Tensor) -> Tensor:
    """Split each location's probability between its two nearest atoms (Bellemare et al. 2017).

    float [B, M], [B, M] and evenly spaced [N] -> [B, N]. The split is linear in the distance, which
    preserves the mass and, within the range of atoms, the mean. Probability outside that range goes
    to the outermost atoms.
    """
    last = len(atoms) - 1
    place = ((locations - atoms[0]) * (last / (atoms[-1] - atoms[0]))).clamp(0, last)
    number = torch.arange(last + 1, device=atoms.device, dtype=atoms.dtype)
    # Not by floor and ceiling: for a location exactly on an atom they coincide and lose its mass.
    shares = (1.0 - (place[:, None, :] - number[:, None]).abs()).clamp(min=0.0)
    return (shares * probabilities[:, None, :]).sum(2)


def categorical_target(r_t: Tensor, discount_t: Tensor, logits_t: Tensor, atoms: Tensor) -> Tensor:
    """Project r + discount * return: [B], [B], logits [B, N] and [N] -> probabilities [B, N]."""
    locations = r_t[:, None] + discount_t[:, None] * atoms
    return categorical_projection(locations, logits_t.softmax(1), atoms)


def gaussian_bins(values: Tensor, edges: Tensor, deviation: float) -> Tensor:
    """Spread each value over bins by a normal distribution around it (Farebrother et al. 2024).

    float [B] and edges [N + 1] -> probabilities [B, N]. Values are clipped to the outermost edges,
    and the distribution is truncated there and renormalised, so that each row sums to 1.
    """
    inside = values.clamp(edges[0], edges[-1])
    below: Tensor = torch.erf((edges - inside[:, None]) / (math.sqrt(2.0) * deviation))
    shares: Tensor = below.diff(dim=1) / (below[:, -1:] - below[:, :1])
    return shares


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    """-sum(target * log softmax(logits)): probabilities [B, N] and logits [B, N] -> [B]."""
    return -(target * logits.log_softmax(1)).sum(1)


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(target || softmax(logits)), not negative: [B].

    It is the cross-entropy minus the target's entropy, which does not depend on the logits.
    """
    entropy: Tensor = torch.special.entr(target).sum(1)
    return (cross_entropy(target, logits) - entropy).clamp(min=0.0)
