"""Folders that appear complete, under a name that no other process takes at the same time."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from qcade.files.names import file_name_part
from qcade.files.whole import flush_folder
from qcade.types import QcadeError

_SUFFIX = "tmp"


@contextlib.contextmanager
def unfinished_folder(target: Path) -> Iterator[Path]:
    """Create a hidden folder next to `target`, for `take_name` to rename; deleted if it does not.

    Folders that ended processes of this machine have left there are deleted too.
    """
    _remove_leftovers(target.parent)
    owner = f"{_host()}.{os.getpid()}.{secrets.token_hex(4)}"
    path = target.with_name(f".{file_name_part(target.name)}.{owner}.{_SUFFIX}")
    try:
        path.mkdir()
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def take_name(unfinished: Path, path: Path) -> bool:
    """Rename a folder to `path`, in one step; return False if `path` exists already."""
    if os.path.lexists(path):
        return False
    try:
        unfinished.rename(path)
    except OSError:
        # Another process was faster: a folder that is not empty is never replaced.
        if os.path.lexists(path):
            return False
        raise
    flush_folder(path.parent)
    return True


def first_free_folder(parent: Path, name: str) -> Path:
    """Create `name` in `parent`, or `name-2` and so on if it exists, and `parent` if needed."""
    make_folder(parent)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
        number += 1


def make_folder(path: Path) -> None:
    """Create a folder unless it exists; QcadeError if a file has its name."""
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise QcadeError(f"{path} is a file where a folder belongs: move it away") from None


def _host() -> str:
    return file_name_part(platform.node()).replace(".", "-")


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(f".*.{_SUFFIX}"):
        parts = path.name.rsplit(".", 4)
        if len(parts) != 5 or parts[1] != _host() or not re.fullmatch("[0-9]{1,10}", parts[2]):
            continue
        if path.is_dir() and not psutil.pid_exists(int(parts[2])):
            shutil.rmtree(path, ignore_errors=True)
