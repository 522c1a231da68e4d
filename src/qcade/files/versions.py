"""Format versions: every file of a run says which one it is of."""

from __future__ import annotations

from typing import Any

from qcade.types import QcadeError


def check_version(found: Any, newest: int, where: str) -> int:
    """Check the format version of a file; QcadeError if this qcade does not know it."""
    if type(found) is not int or found < 1:
        raise QcadeError(f"{where} has no format version that qcade knows")
    if found > newest:
        raise QcadeError(
            f"{where} was written by a newer qcade (format {found}; this one reads up to "
            f"{newest}): install a newer qcade"
        )
    return found
