"""Files that are either complete or absent, even after a power cut."""

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
    """Write a file under a temporary name, flush it to the disk, then rename it."""
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
    """Write indented JSON as `write_whole` does."""
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
    """Flush a file's content to the disk itself."""
    if sys.platform == "darwin":
        # On macOS fsync leaves it in the disk's cache; not every file system supports this call.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_disk_full(error: BaseException) -> bool:
    """Whether an operation failed because the disk or a quota is full."""
    full = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
    return isinstance(error, OSError) and (error.errno in full or "No space left" in str(error))


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn an OSError into a QcadeError with a sentence about `folder`."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise QcadeError(
                f"the disk of {folder} is full: free some space or choose another --out"
            ) from error
        reason = error.strerror or str(error)
        raise QcadeError(f"cannot write to {folder}: {reason}; choose another --out") from error
