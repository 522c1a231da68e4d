"""From a game's name, or a file of the user's own, to a ROM that the emulator accepts."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

import ale_py
from ale_py import roms

from qcade.types import QcadeError


class Rom(NamedTuple):
    """A ROM file that is known to be supported."""

    path: Path
    """Where it lies."""
    game: str
    """The canonical name of the game in it."""
    md5: str
    """Hexadecimal md5 of its bytes."""


def find_rom(game: str, own: str | None = None) -> Rom:
    """Find the ROM of a game, or check the user's own file; `QcadeError` if it cannot be played."""
    # The size and the time let an exchanged file be noticed while repeated questions stay cheap.
    path = Path(own).expanduser() if own is not None else _bundled(game)
    try:
        status = path.stat()
    except OSError as reason:
        raise QcadeError(_missing(path, game, own)) from reason
    return _checked(path, status.st_size, status.st_mtime_ns)


def _bundled(game: str) -> Path:
    try:
        path = roms.get_rom_path(game)
    except OSError as reason:
        raise QcadeError(
            f"the ROM of {game} cannot be used: {reason} "
            "Unset ALE_ROMS_DIR, or reinstall ale-py, or name a ROM file of your own"
        ) from reason
    if path is None:
        raise QcadeError(f"ale-py has no ROM of {game}: name a ROM file of your own")
    return path


def _missing(path: Path, game: str, own: str | None) -> str:
    if own is None:
        return f"the ROM of {game} is missing at {path}: reinstall ale-py"
    return f"there is no ROM file {path}: check the path, or leave it out to use ale-py's own ROM"


@functools.lru_cache(maxsize=256)
def _checked(path: Path, size_bytes: int, changed_ns: int) -> Rom:
    if not path.is_file():
        raise QcadeError(f"{path} is not a file: name the ROM file itself (.bin)")
    try:
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError as reason:
        raise QcadeError(f"the ROM file {path} cannot be read: {reason.strerror}") from reason
    # The emulator ends the whole process on a ROM that it does not know, so ask before loading.
    game = ale_py.ALEInterface.isSupportedROM(path)
    if game is None:
        raise QcadeError(
            f"{path} is not a ROM that the emulator supports (md5 {md5}): "
            "it must be an unaltered dump of a supported Atari 2600 game for one player"
        )
    return Rom(path, game, md5)
