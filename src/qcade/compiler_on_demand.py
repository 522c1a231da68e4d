"""PyTorch's compiler, imported only by those who compile.

The first call of an optimizer, and of many operations on the meta device, imports torch._dynamo
just to be kept away from it: over two seconds of processor time and 70 MB in every process. A
stand-in answers those calls, and the real module takes its place when anything else is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


def import_compiler_on_demand() -> None:
    """Put the stand-in where PyTorch imports its compiler from, unless the compiler is there."""
    sys.modules.setdefault(NAME, _StandIn(NAME))


class _StandIn(ModuleType):
    """Nothing is being compiled, so there is nothing to be kept away from."""

    def disable(
        self, fn: Callable[..., Any] | None = None, *_: object, **__: object
    ) -> Callable[..., Any]:
        """Return a function as it is; it may be called, or used as a decorator with arguments."""
        return self.disable if fn is None else fn

    def graph_break(self, *_: object) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        # Those who look through all modules ask for names like `__file__`; a package has a path.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        return getattr(_import_compiler(), name)


def _import_compiler() -> ModuleType:
    if isinstance(sys.modules.get(NAME), _StandIn):
        del sys.modules[NAME]
    return importlib.import_module(NAME)
