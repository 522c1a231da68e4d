"""Finding the ROM of a run, since the run and its ROM file may have been moved."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from qcade.files.whole import read_json
from qcade.games.atari import Atari
from qcade.games.roms import find_rom, read_rom, require_md5
from qcade.parts import Game
from qcade.runs.layout import PROVENANCE_FILE
from qcade.tape.format import read_tape
from qcade.types import QcadeError


def with_rom_md5(game: Game, run: Path) -> Game:
    """Fill in the checksum of a custom ROM file, which earlier versions recorded elsewhere."""
    if not isinstance(game, Atari) or game.rom is None or game.rom_md5 is not None:
        return game
    return dataclasses.replace(game, rom_md5=_recorded_md5(run))


def with_present_rom(game: Game, run: Path, named: Path | None) -> Game:
    """Return the game with the current path of its ROM: `named`, or a file with its checksum.

    The game is returned unchanged if no such file is found; opening it then raises an error.
    Raises `QcadeError` if `named` is a different ROM, or the game has no ROM.
    """
    if named is not None:
        return _with_named_rom(game, run, named)
    if not isinstance(game, Atari) or game.rom is None or game.rom_md5 is None:
        return game
    try:
        rom = find_rom(game.game, game.rom, game.rom_md5, (run.absolute(), run.absolute().parent))
    except QcadeError:
        return game
    return dataclasses.replace(game, rom=str(rom.path.absolute()))


def _with_named_rom(game: Game, run: Path, named: Path) -> Game:
    if not isinstance(game, Atari):
        raise QcadeError(f"the game of {run} cannot be played from a ROM file: leave --rom out")
    rom = read_rom(named.expanduser().absolute())
    played = game.rom_md5 or _recorded_md5(run)
    if played is not None:
        require_md5(rom, played)
    return dataclasses.replace(game, rom=str(rom.path), rom_md5=rom.md5)


def _recorded_md5(run: Path) -> str | None:
    """Return the checksum of the ROM that was played, from other files of the run."""
    with contextlib.suppress(QcadeError):
        protocol = read_json(run / PROVENANCE_FILE).get("protocol")
        if isinstance(protocol, dict) and isinstance(md5 := protocol.get("rom_md5"), str):
            return md5
    with contextlib.suppress(QcadeError):
        protocol = read_tape(run).header.get("protocol")
        if isinstance(protocol, dict) and isinstance(md5 := protocol.get("rom_md5"), str):
            return md5
    return None
