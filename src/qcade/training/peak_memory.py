"""The peak memory of tensor computations, predicted without allocating or computing anything.

On PyTorch's meta device tensors have shapes but no contents, so an update of any size takes only a
few tenths of a second there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")


def peak_bytes(work: Callable[[], object]) -> int:
    """Run `work` on meta tensors; return the peak bytes of the tensors it created."""
    counting = _Counting()
    with counting:
        work()
    return counting.peak


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the memory of the tensors that operations return, until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        # Tensors that existed before do not count, nor do views of them.
        for given in _tensors(args):
            self._known.add(given.untyped_storage())
        returned = func(*args, **(kwargs or {}))
        for made in _tensors(returned):
            self._count(made.untyped_storage())
        self.peak = max(self.peak, self.now)
        return returned

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value)
