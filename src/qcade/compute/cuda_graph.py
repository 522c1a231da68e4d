"""A function of tensors, captured once as a CUDA graph and then replayed with a single launch.

The function must stay within the limits of graphs: the same shapes each time, no waiting for the
device, and no side effects on the host. Everything that it changes besides its results is declared
as a `MutableState`, so that warm-up calls and checks can be undone: a run with graphs equals a run
without.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from qcade.compute.transfer import put

Results: TypeAlias = dict[str, Tensor]
Function: TypeAlias = Callable[..., Results]

WARM_UP_CALLS = 3
"""Calls before the capture, in which libraries choose and load their kernels."""
UNCHANGED = 1e-3
"""This share of a tensor's norm counts as change, since rounding errors are relative to it."""


class MutableState(NamedTuple):
    """What a function changes besides its results."""

    tensors: list[Tensor]
    """Written in place, always the same tensors."""
    generators: list[torch.Generator]
    """Random generators drawn from."""


class SavedState(NamedTuple):
    """A copy of the contents of a `MutableState`."""

    tensors: list[Tensor]
    generators: list[Tensor]


def save_state(mutable: MutableState) -> SavedState:
    """Copy the contents of a mutable state."""
    tensors = [tensor.detach().clone() for tensor in mutable.tensors]
    return SavedState(tensors, [generator.get_state() for generator in mutable.generators])


@torch.no_grad()
def restore_state(mutable: MutableState, saved: SavedState) -> None:
    """Write a saved state back in place."""
    for tensor, copy in zip(mutable.tensors, saved.tensors, strict=True):
        tensor.copy_(copy)
    for generator, state in zip(mutable.generators, saved.generators, strict=True):
        generator.set_state(state)


def run_and_restore(function: Callable[[], Results], mutable: MutableState) -> SavedState:
    """Call a function and undo its changes; return copies of its results and of what it wrote."""
    saved = save_state(mutable)
    returned = function()
    after = save_state(mutable)
    results = [returned[name].detach().clone() for name in sorted(returned)]
    restore_state(mutable, saved)
    return SavedState([*results, *after.tensors], after.generators)


def disagreement(before: SavedState, one: SavedState, other: SavedState) -> float:
    """How much two results of `run_and_restore` differ, relative to what the first one changed.

    The largest ratio of Euclidean norms over all tensors; infinity if the random generators ended
    in different states or a result has NaNs. `before` is the mutable state before both runs.
    """
    generators = zip(one.generators, other.generators, strict=True)
    if not all(torch.equal(mine, theirs) for mine, theirs in generators):
        return math.inf
    returned = len(one.tensors) - len(before.tensors)
    starts = [*(torch.zeros_like(t) for t in one.tensors[:returned]), *before.tensors]
    worst = 0.0
    for start, mine, theirs in zip(starts, one.tensors, other.tensors, strict=True):
        old, new = start.double(), mine.double()
        difference = float((new - theirs.double()).norm())
        change = float((new - old).norm()) + UNCHANGED * float(new.norm())
        if math.isnan(difference):
            return math.inf
        if difference > 0.0:
            worst = max(worst, difference / change if change > 0.0 else math.inf)
    return worst


class CaptureResources(NamedTuple):
    """The stream and the memory pool of captured graphs."""

    stream: torch.cuda.Stream
    """Also used by the warm-up calls, since libraries initialise themselves per stream."""
    pool: Any
    """The graphs' memory pool."""


def make_capture_resources(device: torch.device) -> CaptureResources:
    """Make a new stream and memory pool on a CUDA device."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return CaptureResources(stream, torch.cuda.graph_pool_handle())


class CapturedFunction:
    """A function captured as a CUDA graph, with the static tensors that hold its inputs."""

    def __init__(
        self,
        function: Function,
        inputs: Sequence[Tensor],
        mutable: MutableState,
        device: torch.device,
        resources: CaptureResources | None = None,
    ) -> None:
        """Warm a function up with some inputs, on any device, and capture it.

        Graphs that never run concurrently may share `resources`. Raises RuntimeError if the
        function waits for the device or does anything else that graphs cannot capture.
        """
        self._function, self._mutable = function, mutable
        resources = resources or make_capture_resources(device)
        # A capture that fails does not restore the current stream; this context does.
        with torch.cuda.device(device), torch.cuda.stream(torch.cuda.current_stream(device)):
            self._inputs = [tensor.to(device, copy=True) for tensor in inputs]
            self._warm_up(resources.stream)
            self._graph = torch.cuda.CUDAGraph()
            with warnings.catch_warnings():
                # PyTorch 2.12 and later may deprecate this call because they do it themselves.
                warnings.simplefilter("ignore")
                for generator in mutable.generators:
                    self._graph.register_generator_state(generator)
            with torch.cuda.graph(self._graph, pool=resources.pool, stream=resources.stream):
                self._results = function(*self._inputs)

    def __call__(self, inputs: Sequence[Tensor]) -> Results:
        """Replay with other inputs, on host or device; results are valid until the next replay."""
        for static, given in zip(self._inputs, inputs, strict=True):
            put(static, given)
        self._graph.replay()
        return self._results

    def check(self) -> float:
        """Return the `disagreement` of a replay with a plain call of the function; undo both.

        Both start from the current state and the latest inputs.
        """
        before = save_state(self._mutable)
        called = run_and_restore(lambda: self._function(*self._inputs), self._mutable)
        replayed = run_and_restore(self._replay, self._mutable)
        return disagreement(before, called, replayed)

    def _replay(self) -> Results:
        self._graph.replay()
        return self._results

    def _warm_up(self, stream: torch.cuda.Stream) -> None:
        saved = save_state(self._mutable)
        current = torch.cuda.current_stream()
        stream.wait_stream(current)
        mode = torch.cuda.get_sync_debug_mode()
        try:
            with torch.cuda.stream(stream):
                for number in range(WARM_UP_CALLS):
                    # A wait during capture would leave the device in a bad state, so later calls
                    # look for one. In the first call libraries may wait to initialise themselves.
                    _set_sync_debug_mode("error" if number else mode)
                    self._function(*self._inputs)
        finally:
            _set_sync_debug_mode(mode)
            current.wait_stream(stream)
            restore_state(self._mutable, saved)


def _set_sync_debug_mode(mode: int | str) -> None:
    with warnings.catch_warnings():
        # PyTorch warns at first use that the mode does not detect every wait.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode(mode)
