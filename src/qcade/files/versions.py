"""Format versions: every file of a run records its own."""

from __future__ import annotations

from typing import Any

from qcade.types import QcadeError


def check_version(version: Any, newest: int, where: str) -> int:
    """Check the format version of a file and return it; QcadeError if it is unknown."""
    if type(version) is not int or version < 1:
        raise QcadeError(f"{where} has no format version that qcade knows")
    if version > newest:
        raise QcadeError(
            f"{where} was written by a newer qcade (format {version}; this one reads up to "
            f"{newest}): install a newer qcade"
        )
    return version
