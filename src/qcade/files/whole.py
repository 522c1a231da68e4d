"""Files that are either whole or not there, whatever instant the power fails at."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from qcade.files.json_text import json_text, parse_json_object
from qcade.types import JSON, QcadeError

if sys.platform == "darwin":
    import fcntl


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name, flush to the disk, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            flush(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_json(path: Path, data: JSON) -> None:
    """Write readable JSON, whole."""
    write_whole(path, (json_text(data, str(path), indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, JSON]:
    """Read a JSON object; QcadeError if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise QcadeError(f"{path} is missing") from None
    except OSError as error:
        raise QcadeError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse_json_object(content, str(path))


def flush(descriptor: int) -> None:
    """Bring a file's content to the disk itself."""
    if sys.platform == "darwin":
        # There fsync leaves it in the disk's own cache; not every file system can do more.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_disk_full(error: BaseException) -> bool:
    """Whether an operation failed for want of space."""
    full = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
    return isinstance(error, OSError) and (error.errno in full or "No space left" in str(error))


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals into a sentence about `folder`."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise QcadeError(
                f"the disk of {folder} is full: free some space or choose another --out"
            ) from error
        reason = error.strerror or str(error)
        raise QcadeError(f"cannot write to {folder}: {reason}; choose another --out") from error
