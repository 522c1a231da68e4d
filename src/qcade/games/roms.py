"""Finding the ROM of a game, or checking the user's own ROM file."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import ale_py
from ale_py import roms

from qcade.types import QcadeError

LARGEST_ROM_BYTES = 2**20
ROM_ENDINGS = (".bin", ".rom", ".a26")

_ALE_PY_ROMS = Path(roms.__file__).parent


class Rom(NamedTuple):
    """A ROM file that the emulator supports."""

    path: Path
    """Path of the file."""
    game: str
    """The game's canonical name."""
    md5: str
    """Hexadecimal md5 of its bytes."""


def find_rom(
    game: str, own: str | None = None, md5: str | None = None, folders: Iterable[Path] = ()
) -> Rom:
    """Find the ROM of a game, or check the user's `own` file; QcadeError if it cannot be played.

    With a checksum, return the file at the expected path if it matches, else any matching file in
    `folders`, the working folder, the expected path's folder, ALE_ROMS_DIR or ale-py.
    """
    recorded = _bundled_path(game) if own is None else Path(own).expanduser()
    if md5 is None:
        return _bundled(game, recorded) if own is None else read_rom(recorded)
    if _md5_of(recorded) == md5.lower():
        return read_rom(recorded)
    searched = _searched_folders(recorded, folders)
    for path in _rom_files(searched):
        if _md5_of(path) == md5.lower():
            return read_rom(path)
    now = _md5_of(recorded)
    raise QcadeError(
        f"the ROM of this game, with md5 {md5}, is not at {recorded} "
        f"({'that file is gone' if now is None else f'the file there has md5 {now}'}) nor in "
        f"{', '.join(map(str, searched))}: name it with --rom FILE, or put it into the run's folder"
    )


def require_md5(rom: Rom, md5: str) -> None:
    """Raise QcadeError if a ROM does not have this checksum."""
    if rom.md5 != md5.lower():
        raise QcadeError(
            f"{rom.path} is not the ROM that was played before: its md5 is {rom.md5} instead of "
            f"{md5}"
        )


def read_rom(path: Path) -> Rom:
    """Check a ROM file; QcadeError if it is missing or the emulator does not support it."""
    # Cached by size and modification time: repeated calls are cheap, a replaced file is noticed.
    try:
        status = path.stat()
    except OSError as reason:
        raise QcadeError(
            f"there is no ROM file {path}: check the path, or leave it out to use ale-py's own ROM"
        ) from reason
    return _checked(path, status.st_size, status.st_mtime_ns)


def _bundled_path(game: str) -> Path:
    return _bundled_folder() / f"{game}.bin"


def _bundled_folder() -> Path:
    named = os.environ.get("ALE_ROMS_DIR")
    return Path(named) if named else _ALE_PY_ROMS


def _bundled(game: str, path: Path) -> Rom:
    if not path.is_file():
        if os.environ.get("ALE_ROMS_DIR"):
            raise QcadeError(
                f"there is no {path.name} in {path.parent}, which ALE_ROMS_DIR names: unset it to "
                "use ale-py's own ROM, or name your own ROM file"
            )
        raise QcadeError(f"the ROM of {game} is missing at {path}: reinstall ale-py")
    rom = read_rom(path)
    if rom.game != game:
        raise QcadeError(
            f"{path} is the ROM of {rom.game}, not of {game}: unset ALE_ROMS_DIR, or "
            "reinstall ale-py, or name your own ROM file"
        )
    return rom


def _searched_folders(recorded: Path, folders: Iterable[Path]) -> list[Path]:
    candidates = [*folders, Path.cwd(), recorded.parent, _bundled_folder(), _ALE_PY_ROMS]
    return list(dict.fromkeys(folder.absolute() for folder in candidates if folder.is_dir()))


def _rom_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Files that may be ROMs in these folders, without subfolders."""
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue
        yield from (path for path in paths if path.suffix.lower() in ROM_ENDINGS)


def _md5_of(path: Path) -> str | None:
    """The checksum of a file; None if it cannot be read or is too large for a ROM."""
    try:
        status = path.stat()
        if not path.is_file() or status.st_size > LARGEST_ROM_BYTES:
            return None
        return _md5(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=256)
def _md5(path: Path, size_bytes: int, changed_ns: int) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@functools.lru_cache(maxsize=256)
def _checked(path: Path, size_bytes: int, changed_ns: int) -> Rom:
    if not path.is_file():
        raise QcadeError(f"{path} is not a file: name the ROM file itself (.bin)")
    try:
        md5 = _md5(path, size_bytes, changed_ns)
    except OSError as reason:
        raise QcadeError(f"the ROM file {path} cannot be read: {reason.strerror}") from reason
    # The emulator exits the process when it loads an unknown ROM, so check first.
    game = ale_py.ALEInterface.isSupportedROM(path)
    if game is None:
        raise QcadeError(
            f"{path} is not a ROM that the emulator supports (md5 {md5}): "
            "it must be an unaltered dump of a supported Atari 2600 game for one player"
        )
    return Rom(path, game, md5)
