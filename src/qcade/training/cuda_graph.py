"""A function of tensors, captured once as a CUDA graph and then replayed with a single launch.

The function must keep to what graphs allow: the same shapes each time, no waiting for the device,
and nothing on the host that matters. What it writes into beside its results is named, so that
trying it out leaves no trace: a run with graphs is the run without them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from qcade.replay.transfer import put

Results: TypeAlias = dict[str, Tensor]
Function: TypeAlias = Callable[..., Results]

REHEARSALS = 3
"""Calls before the capture, in which libraries choose and load their kernels."""
UNCHANGED = 1e-3
"""A tensor's own size counts as so much of a change, since rounding is relative to it."""


class Written(NamedTuple):
    """What a function changes beside what it returns."""

    tensors: list[Tensor]
    """Written in place, always the same ones."""
    generators: list[torch.Generator]
    """Drawn from."""


class Saved(NamedTuple):
    """A copy of what a `Written` held at some moment."""

    tensors: list[Tensor]
    generators: list[Tensor]


def save(written: Written) -> Saved:
    """Copy everything."""
    tensors = [tensor.detach().clone() for tensor in written.tensors]
    return Saved(tensors, [generator.get_state() for generator in written.generators])


@torch.no_grad()
def put_back(written: Written, saved: Saved) -> None:
    """Write everything back in place."""
    for tensor, copy in zip(written.tensors, saved.tensors, strict=True):
        tensor.copy_(copy)
    for generator, state in zip(written.generators, saved.generators, strict=True):
        generator.set_state(state)


def outcome(function: Callable[[], Results], written: Written) -> Saved:
    """Call a function, copy what it returned and wrote, and leave no trace of the call."""
    saved = save(written)
    returned = function()
    after = save(written)
    results = [returned[name].detach().clone() for name in sorted(returned)]
    put_back(written, saved)
    return Saved([*results, *after.tensors], after.generators)


def disagreement(before: Saved, one: Saved, other: Saved) -> float:
    """How far two outcomes are apart, as a part of what either of them changed.

    The largest over all tensors, by their Euclidean norms; infinity where random generators were
    drawn from differently, or one outcome has NaNs. `before` holds what was written, beforehand.
    """
    generators = zip(one.generators, other.generators, strict=True)
    if not all(torch.equal(mine, theirs) for mine, theirs in generators):
        return math.inf
    fresh = len(one.tensors) - len(before.tensors)
    starts = [*(torch.zeros_like(t) for t in one.tensors[:fresh]), *before.tensors]
    worst = 0.0
    for start, mine, theirs in zip(starts, one.tensors, other.tensors, strict=True):
        old, new = start.double(), mine.double()
        apart = float((new - theirs.double()).norm())
        change = float((new - old).norm()) + UNCHANGED * float(new.norm())
        if math.isnan(apart):
            return math.inf
        if apart > 0.0:
            worst = max(worst, apart / change if change > 0.0 else math.inf)
    return worst


class Place(NamedTuple):
    """Where graphs are captured."""

    stream: torch.cuda.Stream
    """Rehearsed on as well, since libraries prepare themselves for each stream."""
    pool: Any
    """Their memory."""


def make_place(device: torch.device) -> Place:
    """Make a place of its own on a CUDA device."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return Place(stream, torch.cuda.graph_pool_handle())


class CapturedFunction:
    """A function on a CUDA device as a graph, with the tensors that its inputs are copied into."""

    def __init__(
        self,
        function: Function,
        inputs: Sequence[Tensor],
        written: Written,
        device: torch.device,
        place: Place | None = None,
    ) -> None:
        """Rehearse a function with some inputs, on any device, and capture it.

        Graphs that never run side by side may share a `place`. RuntimeError if the function waits
        for the device or does something else that graphs cannot hold.
        """
        self._function, self._written = function, written
        place = place or make_place(device)
        # A capture that breaks off does not give the current stream back; this does.
        with torch.cuda.device(device), torch.cuda.stream(torch.cuda.current_stream(device)):
            self._inputs = [tensor.to(device, copy=True) for tensor in inputs]
            self._rehearse(place.stream)
            self._graph = torch.cuda.CUDAGraph()
            with warnings.catch_warnings():
                # From PyTorch 2.12 on this may be deprecated, since it goes without saying.
                warnings.simplefilter("ignore")
                for generator in written.generators:
                    self._graph.register_generator_state(generator)
            with torch.cuda.graph(self._graph, pool=place.pool, stream=place.stream):
                self._results = function(*self._inputs)

    def __call__(self, inputs: Sequence[Tensor]) -> Results:
        """Replay with other inputs, of host or device; the results last until the next replay."""
        for mine, given in zip(self._inputs, inputs, strict=True):
            put(mine, given)
        self._graph.replay()
        return self._results

    def check(self) -> float:
        """Compare a replay with a call of the function itself, as `disagreement`; no trace is left.

        Both start from what is there now, with the latest inputs.
        """
        before = save(self._written)
        called = outcome(lambda: self._function(*self._inputs), self._written)
        replayed = outcome(self._replay, self._written)
        return disagreement(before, called, replayed)

    def _replay(self) -> Results:
        self._graph.replay()
        return self._results

    def _rehearse(self, stream: torch.cuda.Stream) -> None:
        saved = save(self._written)
        current = torch.cuda.current_stream()
        stream.wait_stream(current)
        mode = torch.cuda.get_sync_debug_mode()
        try:
            with torch.cuda.stream(stream):
                for rehearsal in range(REHEARSALS):
                    # Libraries may wait while they start; a capture that met a wait would leave
                    # the device in disorder, so it is looked for before.
                    _set_sync_debug_mode("error" if rehearsal else mode)
                    self._function(*self._inputs)
        finally:
            _set_sync_debug_mode(mode)
            current.wait_stream(stream)
            put_back(self._written, saved)


def _set_sync_debug_mode(mode: int | str) -> None:
    with warnings.catch_warnings():
        # PyTorch says at each first use that the mode does not find everything.
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode(mode)
