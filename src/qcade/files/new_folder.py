"""Folders that appear whole, under a name that nobody else takes at the same time."""

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
def unfinished_folder(beside: Path) -> Iterator[Path]:
    """Make a hidden folder beside a path, where `take_name` can rename it to; removed otherwise.

    What processes of this machine that are gone have left there is removed as well.
    """
    _remove_leftovers(beside.parent)
    owner = f"{_host()}.{os.getpid()}.{secrets.token_hex(4)}"
    path = beside.with_name(f".{file_name_part(beside.name)}.{owner}.{_SUFFIX}")
    try:
        path.mkdir()
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def take_name(unfinished: Path, path: Path) -> bool:
    """Rename a folder to `path`, in one step; False if there is something already."""
    if os.path.lexists(path):
        return False
    try:
        unfinished.rename(path)
    except OSError:
        # Somebody was faster: a folder with something in it is never replaced.
        if os.path.lexists(path):
            return False
        raise
    flush_folder(path.parent)
    return True


def first_free_folder(parent: Path, name: str) -> Path:
    """Make `name` in `parent`, or `name-2` and so on if that is taken, and `parent` too."""
    make_folder(parent)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
        number += 1


def make_folder(path: Path) -> None:
    """Make a folder unless it is there; QcadeError if something else has its name."""
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
