"""How the work of a step gets to the device: call by call, or as captured graphs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from qcade.machine import Hardware
from qcade.replay.storage import StorageKind
from qcade.training.cuda_graph import (
    CapturedFunction,
    Function,
    Place,
    Results,
    Written,
    make_place,
)

Inputs: TypeAlias = tuple[Any, ...]
"""Tensors and numbers that one step is called with."""

TOLERANCES = {torch.float32: 0.01, torch.bfloat16: 0.05}
"""How far a replay may be from a call, as a part of what a step changes.

The kernels are the same, so mostly they agree to the last bit. But some libraries add up gradients
in an order of chance, and Adam's first steps turn a rounding error around zero into a whole step of
that one weight. A graph that misses or repeats something differs by all that a step changes.
"""


class Launcher(Protocol):
    """Gets steps done."""

    most_steps: int
    """Steps that may be asked for at once."""

    def run(self, key: Hashable, step: Function, inputs: Sequence[Inputs]) -> Results:
        """Make one step for each of the inputs, in their order; return the sums of the results.

        Under the same key it must be the same step, and inputs of the same shapes. Results last
        until the next call.
        """
        ...

    def forget(self) -> None:
        """Forget all steps: the tensors that they write into are no longer the same."""
        ...


class Eagerly:
    """Calls each step."""

    most_steps = 1

    def run(self, key: Hashable, step: Function, inputs: Sequence[Inputs]) -> Results:
        """Call the step for each of the inputs."""
        return one_by_one(step, inputs)

    def forget(self) -> None:
        """Do nothing."""


class AsGraphs:
    """Captures steps at their first run, checks that replays agree, and replays them from then on.

    Where they do not, or cannot be captured, it says so once and calls each step.
    """

    most_steps = 16

    def __init__(self, hardware: Hardware, written: Callable[[], Written]) -> None:
        """Take a function that tells what the steps write into, once they are captured."""
        self.hardware, self._written = hardware, written
        self.captures = 0
        """Graphs that were made so far."""
        self.is_refused = False
        """Whether graphs were given up."""
        self.largest_disagreement = 0.0
        """Between calls and replays, as far as they were compared."""
        self._graphs: dict[Hashable, CapturedFunction] = {}
        self._place: Place | None = None

    def run(self, key: Hashable, step: Function, inputs: Sequence[Inputs]) -> Results:
        """Replay the graph of so many steps; the first time, capture and check it."""
        if self.is_refused:
            return one_by_one(step, inputs)
        stacked = stack(inputs)
        graph = self._graphs.get((key, len(inputs)))
        reason = ""
        if graph is None:
            try:
                graph = self._capture(step, len(inputs), stacked)
            except RuntimeError as error:
                reason = str(error)
        # Outside of `except`, whose traceback keeps the failed capture's tensors alive.
        if graph is None:
            self._refuse(f"this run's steps cannot be captured as a CUDA graph ({reason})")
            return one_by_one(step, inputs)
        self._graphs[key, len(inputs)] = graph
        return graph(stacked)

    def forget(self) -> None:
        """Drop all graphs; the next run of each step captures it anew."""
        self._graphs.clear()
        # Memory whose graphs are all gone cannot be used again; the stream can.
        if self._place is not None:
            self._place = self._place._replace(pool=torch.cuda.graph_pool_handle())

    def _capture(self, step: Function, count: int, stacked: list[Tensor]) -> CapturedFunction:
        written = self._written()
        self._place = self._place or make_place(self.hardware.device)
        graph = CapturedFunction(
            lambda *static: one_by_one(step, unstack(static, count)),
            stacked,
            written,
            self.hardware.device,
            self._place,
        )
        self.captures += 1
        difference = graph.check()
        self.largest_disagreement = max(self.largest_disagreement, difference)
        if not difference <= TOLERANCES[self.hardware.precision]:
            raise RuntimeError(f"its replay differs by {difference:.2%} of what a step changes")
        return graph

    def _refuse(self, reason: str) -> None:
        self.is_refused = True
        self._graphs.clear()
        first_line = reason.partition("\n")[0]
        warnings.warn(
            f"{first_line}: going on without, which is slower; --compute.graphs False does so "
            "from the start",
            RuntimeWarning,
            stacklevel=4,
        )


def make_launcher(
    hardware: Hardware, storage: StorageKind, written: Callable[[], Written]
) -> Launcher:
    """Choose: graphs on a CUDA device whose memory holds the frames as they are."""
    if hardware.captures and storage == "raw":
        return AsGraphs(hardware, written)
    return Eagerly()


def one_by_one(step: Function, inputs: Sequence[Inputs]) -> Results:
    """Call a step for each of the inputs; return the sums of its results by name."""
    sums = step(*inputs[0])
    for each in inputs[1:]:
        results = step(*each)
        sums = {name: sums[name] + results[name] for name in sums}
    return sums


def stack(inputs: Sequence[Inputs]) -> list[Tensor]:
    """Put the inputs of several steps together, place by place: [steps, ...] each."""
    return [
        torch.stack([_tensor(value) for value in values]) for values in zip(*inputs, strict=True)
    ]


def unstack(stacked: Sequence[Tensor], count: int) -> list[Inputs]:
    """Take apart what `stack` made of so many steps' inputs; numbers are 0-d tensors now."""
    return [tuple(tensor[i] for tensor in stacked) for i in range(count)]


def _tensor(value: Tensor | float) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)
