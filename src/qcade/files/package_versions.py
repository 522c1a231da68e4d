"""Versions of the packages that a result depends on."""

from __future__ import annotations

import importlib.metadata

from qcade.types import JSON

VERSIONED_PACKAGES = ("qcade", "torch", "ale-py", "gymnasium", "numpy", "safetensors")


def package_versions() -> dict[str, JSON]:
    """Return the versions of the packages that a result depends on; None for a missing one."""
    versions: dict[str, JSON] = {}
    for name in VERSIONED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions
