"""Cutting the decisions of a rollout into minibatches, as they come or all of one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from qcade.replay.transfer import send

Minibatch: TypeAlias = tuple[Tensor, ...]
"""Row, environment and goal of each decision, [B] each; where B is padded, weights as well."""


def as_cut(
    parts: Sequence[Tensor], row: Tensor, environment: Tensor, goals: Tensor, first_row: int
) -> list[Minibatch]:
    """Make a minibatch of each part: numbers int64 [B] of decisions, whose places are int64 [n].

    `goals`, float32 [T, E], begin at `first_row`. Parts differ in size by one, as transitions are
    never a round number.
    """
    minibatches: list[Minibatch] = []
    for part in parts:
        rows, environments = (send(place[part], goals.device) for place in (row, environment))
        minibatches.append((rows, environments, goals[rows - first_row, environments]))
    return minibatches


def padded(
    parts: Sequence[Tensor],
    row: Tensor,
    environment: Tensor,
    goals: Tensor,
    first_row: int,
    size: int,
) -> list[Minibatch]:
    """Make minibatches of one size, which a captured graph needs, with weights.

    Any decision fills what is missing, and weighs nothing; the others weigh so much more that the
    mean over all B is the mean over them. Metrics that nobody weighs count it like the others.
    """
    numbers = torch.stack([functional.pad(part, (0, size - len(part))) for part in parts])
    place = torch.arange(size)
    weights = torch.stack([(place < len(part)) * (size / len(part)) for part in parts])
    device = goals.device
    rows, environments = send(row[numbers], device), send(environment[numbers], device)
    goal = goals[rows - first_row, environments]
    return [*zip(rows, environments, goal, send(weights, device), strict=True)]
