"""Losses of distributions over fixed atoms or bins, as pure functions on tensors.

They are written without matrix products, which autocast would take to bfloat16, and without
scattered additions, whose order a GPU leaves open.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qcade.types import QcadeError


def evenly_spaced(
    v_min: float, v_max: float, count: int, device: torch.device | None = None
) -> Tensor:
    """Space `count` returns from `v_min` to `v_max`: float32 [count]; QcadeError if they cannot."""
    if not -math.inf < v_min < v_max < math.inf:
        raise QcadeError(
            f"algorithm: v_min = {v_min:g} and v_max = {v_max:g} bound no range of returns"
        )
    return torch.linspace(v_min, v_max, count, device=device)


def categorical_projection(locations: Tensor, probabilities: Tensor, atoms: Tensor) -> Tensor:
    """Share each location's probability between the two atoms beside it (Bellemare et al. 2017).

    float [B, M], [B, M] and evenly spaced [N] -> [B, N]. What lies beyond the outermost atoms goes
    to them. The nearer atom gets more, linearly, so that mass and, inside, the mean are kept.
    """
    last = len(atoms) - 1
    place = ((locations - atoms[0]) * (last / (atoms[-1] - atoms[0]))).clamp(0, last)
    number = torch.arange(last + 1, device=atoms.device, dtype=atoms.dtype)
    # A location at an atom is at no distance from it: a floor and a ceiling would coincide there
    # and lose its mass, this cannot.
    shares = (1.0 - (place[:, None, :] - number[:, None]).abs()).clamp(min=0.0)
    return (shares * probabilities[:, None, :]).sum(2)


def categorical_goal(r_t: Tensor, discount_t: Tensor, logits_t: Tensor, atoms: Tensor) -> Tensor:
    """Project r + discount * return: [B], [B], logits [B, N] and [N] -> probabilities [B, N]."""
    locations = r_t[:, None] + discount_t[:, None] * atoms
    return categorical_projection(locations, logits_t.softmax(1), atoms)


def gaussian_bins(values: Tensor, edges: Tensor, deviation: float) -> Tensor:
    """Spread each value over bins as a normal distribution would (Farebrother et al. 2024).

    float [B] and edges [N + 1] -> probabilities [B, N]. Values are clipped to the outermost edges
    and what the distribution has beyond them is left out, so that each row adds up to 1.
    """
    inside = values.clamp(edges[0], edges[-1])
    below: Tensor = torch.erf((edges - inside[:, None]) / (math.sqrt(2.0) * deviation))
    shares: Tensor = below.diff(dim=1) / (below[:, -1:] - below[:, :1])
    return shares


def cross_entropy(goal: Tensor, logits: Tensor) -> Tensor:
    """-sum(goal * log softmax(logits)): probabilities [B, N] and logits [B, N] -> [B]."""
    return -(goal * logits.log_softmax(1)).sum(1)


def divergence(goal: Tensor, logits: Tensor) -> Tensor:
    """Kullback-Leibler divergence from softmax(logits) to the goal, not negative: [B].

    It is the cross-entropy less the goal's own entropy, which nothing can be learned from.
    """
    entropy: Tensor = torch.special.entr(goal).sum(1)
    return (cross_entropy(goal, logits) - entropy).clamp(min=0.0)
