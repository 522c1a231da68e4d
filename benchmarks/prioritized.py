"""Time what prioritised sampling adds to an update: a draw, and its new priorities.

    python benchmarks/prioritized.py --batch 32

Prints a Markdown table for memories of several sizes; on the processor, with one thread.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from torch import Tensor

from qcade.replay.prioritized import Prioritized
from qcade.types import Progress

ENVIRONMENTS = 8
PROGRESS = Progress(1, 2)


class AlwaysStarts:
    """The bookkeeping of a full ring, in which a transition starts everywhere; no frames."""

    environments = ENVIRONMENTS

    def __init__(self, rows: int, device: torch.device) -> None:
        self.rows, self.device = rows, device
        self.appended_rows = rows

    def startable_rows(self, n_step: int) -> tuple[int, int]:
        """Rows [low, high) at which transitions of n steps may start."""
        return max(0, self.appended_rows - self.rows), self.appended_rows - n_step

    def is_start(self, row: Tensor, environment: Tensor) -> Tensor:
        """Say yes: int64 [B] and [B] -> bool [B]."""
        return torch.ones_like(row, dtype=torch.bool)


def microseconds(size: int, batch: int, updates: int, device: torch.device) -> list[float]:
    """Time the parts of one update in a memory of so many transitions; medians.

    A draw alone, new priorities alone, and taking in one row of new transitions.
    """
    rows = size // ENVIRONMENTS
    ring = AlwaysStarts(rows, device)
    sampler = Prioritized().build(rows, ENVIRONMENTS, device, seed=1)
    generator = torch.Generator().manual_seed(2)
    times: list[list[float]] = [[], [], []]
    for _ in range(updates):
        ring.appended_rows += 1
        priority = torch.rand(batch, generator=generator).to(device)
        marks = [now(device)]
        sample = sampler.draw(sampler.plan(ring, batch, 3, PROGRESS))
        marks.append(now(device))
        sampler.update_priorities(sample, priority)
        marks.append(now(device))
        sampler.draw(sampler.plan(ring, batch, 3, PROGRESS))
        marks.append(now(device))
        with_row, update, draw = (b - a for a, b in itertools.pairwise(marks))
        for part, seconds in zip(times, (draw, update, with_row - draw), strict=True):
            part.append(seconds * 1e6)
    # The first ones fill the tree and warm the caches.
    return [statistics.median(part[updates // 10 :]) for part in times]


def now(device: torch.device) -> float:
    """Seconds, when the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--updates", type=int, default=1_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| transitions | draw, us | new priorities, us | both, us | a new row, us |")
    print("|---:|---:|---:|---:|---:|")
    for size in options.sizes:
        device = torch.device(options.device)
        draw, update, row = microseconds(size, options.batch, options.updates, device)
        print(f"| {size:,} | {draw:.0f} | {update:.0f} | {draw + update:.0f} | {row:.0f} |")


if __name__ == "__main__":
    main()
