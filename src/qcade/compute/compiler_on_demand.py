"""PyTorch's compiler, imported only when something is compiled.

The first call of an optimizer, and of many operations on the meta device, imports torch._dynamo
only to exclude itself from compilation: over two seconds of CPU time and 70 MB in every process. A
stand-in answers those calls; the real module replaces it when any other attribute is used.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


def import_compiler_on_demand() -> None:
    """Install the stand-in in `sys.modules`, unless the compiler is imported already."""
    sys.modules.setdefault(NAME, _StandIn(NAME))


class _StandIn(ModuleType):
    """Stands in for torch._dynamo while nothing is compiled."""

    def disable(
        self, fn: Callable[..., Any] | None = None, *_: object, **__: object
    ) -> Callable[..., Any]:
        """Return the function unchanged; also works as a decorator with arguments."""
        return self.disable if fn is None else fn

    def graph_break(self, *_: object) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        # Code that scans sys.modules reads names like `__file__`; only a package has `__path__`.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        return getattr(_import_compiler(), name)


def _import_compiler() -> ModuleType:
    if isinstance(sys.modules.get(NAME), _StandIn):
        del sys.modules[NAME]
    return importlib.import_module(NAME)
