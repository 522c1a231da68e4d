"""A sum tree: weighted sampling from many leaves, on any device, without a loop over them.

Weights are stored as integer multiples of a small unit. Integer sums do not depend on order or
device, so there is no drift: the tree is determined by its leaves alone.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

LARGEST = 65_536.0
"""The largest weight of a leaf; larger ones count as this."""
BRANCHING = 128
"""Children per node; a million leaves need three levels."""
_BRANCHING_BITS = BRANCHING.bit_length() - 1
_TOTAL_BITS = 62


class SumTree:
    """The weights of `size` leaves, each a non-negative multiple of `unit`."""

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self.size = size
        # The smallest unit for which `size` times the largest weight does not overflow.
        self.unit = LARGEST * 2.0 ** ((size - 1).bit_length() - _TOTAL_BITS)
        self._levels: list[Tensor] = []
        nodes = size
        while not self._levels or nodes > 1:
            # Each level is int64 [groups, BRANCHING]; a group's sum is a node of the level above.
            nodes = -(-nodes // BRANCHING)
            shape = (nodes, BRANCHING)
            self._levels.append(torch.zeros(shape, dtype=torch.int64, device=device))

    @property
    def total(self) -> Tensor:
        """The sum of all weights: float64, 0-d."""
        return self._levels[-1].sum().double() * self.unit

    def values(self, leaves: Tensor) -> Tensor:
        """Look up the rounded weights: int64 [n] -> float64 [n]."""
        return self._levels[0].view(-1)[leaves].double() * self.unit

    def set(self, leaves: Tensor, values: Tensor) -> None:
        """Set weights: int64 [n] and float64 [n], rounded up to whole units.

        If a leaf occurs more than once, its largest value counts.
        """
        nodes = self._levels[0].view(-1)
        nodes.index_fill_(0, leaves, 0)
        nodes.scatter_reduce_(0, leaves, self._units(values), "amax")
        for level, above in pairwise(self._levels):
            leaves = leaves >> _BRANCHING_BITS
            if len(leaves) < len(level):
                above.view(-1)[leaves] = level.index_select(0, leaves).sum(1)
            else:
                above.view(-1)[: len(level)] = level.sum(1)

    def find(self, targets: Tensor) -> Tensor:
        """Find the leaves at which the cumulative sum of weights exceeds the targets.

        float64 [B] from 0 to `total` -> int64 [B]; never a leaf of weight 0, unless all are.
        """
        total = self._levels[-1].sum()
        rest = torch.minimum((targets / self.unit).long(), total - 1)[:, None]
        node = torch.zeros_like(rest)
        for level in reversed(self._levels):
            children = level.index_select(0, node.squeeze(1))
            sums = children.cumsum(1)
            # The rest is less than the node's weight, so the sum exceeds it at one of its children.
            child = torch.searchsorted(sums, rest, right=True)
            rest = rest - sums.gather(1, child) + children.gather(1, child)
            node = (node << _BRANCHING_BITS) + child
        return node.squeeze(1)

    def clear(self) -> None:
        """Make all weights 0."""
        for level in self._levels:
            level.zero_()

    def levels(self) -> list[Tensor]:
        """The tensors that `set` writes to, leaves first."""
        return [*self._levels]

    def leaves(self) -> Tensor:
        """Copy all weights: float64 [size]."""
        return self._levels[0].view(-1)[: self.size].double() * self.unit

    def load(self, leaves: Tensor) -> None:
        """Replace all weights: float64 [size]."""
        self.set(torch.arange(self.size, device=leaves.device), leaves)

    def _units(self, values: Tensor) -> Tensor:
        # Rounded up, so that no positive weight becomes 0.
        return (values.clamp(0.0, LARGEST) / self.unit).ceil().long()
