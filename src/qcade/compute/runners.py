"""How work is sent to the device: call by call, or as captured CUDA graphs of several calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from qcade.compute.cuda_graph import (
    CapturedFunction,
    CaptureResources,
    MutableState,
    Results,
    make_capture_resources,
)
from qcade.compute.hardware import Hardware

TOLERANCES = {torch.float32: 0.01, torch.bfloat16: 0.05}
"""Largest `disagreement` allowed between a replay and a plain call.

Both run the same kernels, so they mostly agree to the last bit. But some libraries sum gradients in
a random order, and Adam's first steps turn a rounding error around zero into a whole step of that
weight. A graph that skips or repeats work differs by as much as a step changes.
"""

MAX_STEPS_PER_GRAPH = 16


class Plan(NamedTuple):
    """The inputs of one step, prepared on the host."""

    n_step: int
    """Steps with the same `n_step` differ only in the values of `inputs`."""
    inputs: tuple[Tensor | float, ...]
    """Tensors, with the same shapes for every step, and numbers; in a graph, 0-d tensors."""


Step: TypeAlias = Callable[[Plan], Results]


class Runner(Protocol):
    """Runs steps of one kind."""

    def run(self, plans: Sequence[Plan]) -> Results:
        """Run one step per plan, in order; return the sums of their results by name.

        All plans must have the same `n_step`. The results are valid until the next call.
        """
        ...

    def forget(self) -> None:
        """Drop captured graphs, because the tensors that steps write to were replaced."""
        ...


class EagerRunner:
    """Calls each step directly."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def run(self, plans: Sequence[Plan]) -> Results:
        """Call the step once per plan."""
        return summed(self._step, plans)

    def forget(self) -> None:
        """Do nothing: nothing is captured."""


class GraphRunner:
    """Captures steps at their first run, checks the replay against a call, then replays them.

    If capture or check fails, it warns once and calls each step directly from then on.
    """

    def __init__(
        self, step: Step, hardware: Hardware, mutable_state: Callable[[], MutableState]
    ) -> None:
        """`mutable_state` returns what the steps change; called at each capture."""
        self.hardware, self._step, self._mutable_state = hardware, step, mutable_state
        self.captures = 0
        """Number of graphs captured so far."""
        self.is_refused = False
        """Whether graphs failed and are no longer used."""
        self.largest_disagreement = 0.0
        """Largest `disagreement` of all checks so far."""
        self._graphs: dict[tuple[int, int], CapturedFunction] = {}
        """By `n_step` and number of steps."""
        self._resources: CaptureResources | None = None

    def run(self, plans: Sequence[Plan]) -> Results:
        """Replay the graph for this number of steps; the first time, capture and check it."""
        if self.is_refused:
            return summed(self._step, plans)
        stacked = stack(plans)
        kind = (plans[0].n_step, len(plans))
        graph = self._graphs.get(kind)
        reason = ""
        if graph is None:
            try:
                graph = self._capture(*kind, stacked)
            except RuntimeError as error:
                reason = str(error)
        # Outside `except`, whose traceback keeps the failed capture's tensors alive.
        if graph is None:
            self._refuse(f"this run's steps cannot be captured as a CUDA graph ({reason})")
            return summed(self._step, plans)
        self._graphs[kind] = graph
        return graph(stacked)

    def forget(self) -> None:
        """Drop all graphs; they are captured again at their next run."""
        self._graphs.clear()
        # A pool whose graphs are all gone cannot be used again; the stream can.
        if self._resources is not None:
            self._resources = self._resources._replace(pool=torch.cuda.graph_pool_handle())

    def _capture(self, n_step: int, count: int, stacked: list[Tensor]) -> CapturedFunction:
        mutable_state = self._mutable_state()
        self._resources = self._resources or make_capture_resources(self.hardware.device)
        graph = CapturedFunction(
            lambda *static: summed(self._step, unstack(n_step, static, count)),
            stacked,
            mutable_state,
            self.hardware.device,
            self._resources,
        )
        self.captures += 1
        difference = graph.check()
        self.largest_disagreement = max(self.largest_disagreement, difference)
        if not difference <= TOLERANCES[self.hardware.precision]:
            raise RuntimeError(f"the replay differs by {difference:.2%} of what a step changes")
        return graph

    def _refuse(self, reason: str) -> None:
        self.is_refused = True
        self._graphs.clear()
        first_line = reason.partition("\n")[0]
        warnings.warn(
            f"{first_line}: continuing without CUDA graphs, which is slower; "
            "--compute.graphs False turns them off from the start",
            RuntimeWarning,
            stacklevel=4,
        )


def make_runner(
    step: Step, hardware: Hardware, mutable_state: Callable[[], MutableState]
) -> EagerRunner | GraphRunner:
    """Make a `GraphRunner` if the hardware captures, else an `EagerRunner`."""
    return GraphRunner(step, hardware, mutable_state) if hardware.captures else EagerRunner(step)


def summed(step: Step, plans: Sequence[Plan]) -> Results:
    """Call a step once per plan; return the sums of its results by name."""
    sums = step(plans[0])
    for plan in plans[1:]:
        results = step(plan)
        sums = {name: sums[name] + results[name] for name in sums}
    return sums


def stack(plans: Sequence[Plan]) -> list[Tensor]:
    """Stack each input of several steps: [steps, ...] each."""
    columns = zip(*(plan.inputs for plan in plans), strict=True)
    return [torch.stack([_tensor(value) for value in column]) for column in columns]


def unstack(n_step: int, stacked: Sequence[Tensor], count: int) -> list[Plan]:
    """Split what `stack` returned for `count` plans; numbers become 0-d tensors."""
    return [Plan(n_step, tuple(tensor[i] for tensor in stacked)) for i in range(count)]


def _tensor(value: Tensor | float) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)
