"""Where the ROM of a run is now: a run and its ROM file may have been moved since."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from qcade.files.whole import read_json
from qcade.games.atari import Atari
from qcade.games.roms import find_rom, read_rom, require_md5
from qcade.recipe import Recipe
from qcade.tape.format import read_tape
from qcade.types import QcadeError


def with_rom_md5(recipe: Recipe, run: Path) -> Recipe:
    """Fill in the checksum of a run's own ROM file, which earlier versions recorded elsewhere."""
    game = recipe.game
    if not isinstance(game, Atari) or game.rom is None or game.rom_md5 is not None:
        return recipe
    return dataclasses.replace(recipe, game=dataclasses.replace(game, rom_md5=_recorded_md5(run)))


def with_present_rom(recipe: Recipe, run: Path, named: Path | None) -> Recipe:
    """Name the file in which a run's ROM is now: `named`, or else one that has its checksum.

    The recipe stays as it is if there is none; opening the game says so. Raises `QcadeError` if
    `named` is another ROM, or the game has none.
    """
    game = recipe.game
    if named is not None:
        return _with_named_rom(recipe, run, named)
    if not isinstance(game, Atari) or game.rom is None or game.rom_md5 is None:
        return recipe
    try:
        rom = find_rom(game.game, game.rom, game.rom_md5, (run.absolute(), run.absolute().parent))
    except QcadeError:
        return recipe
    present = str(rom.path.absolute())
    return dataclasses.replace(recipe, game=dataclasses.replace(game, rom=present))


def _with_named_rom(recipe: Recipe, run: Path, named: Path) -> Recipe:
    game = recipe.game
    if not isinstance(game, Atari):
        raise QcadeError(f"the game of {run} cannot be played from a ROM file: leave --rom out")
    rom = read_rom(named.expanduser().absolute())
    played = game.rom_md5 or _recorded_md5(run)
    if played is not None:
        require_md5(rom, played)
    return dataclasses.replace(
        recipe, game=dataclasses.replace(game, rom=str(rom.path), rom_md5=rom.md5)
    )


def _recorded_md5(run: Path) -> str | None:
    """The checksum of the ROM that was played, as the run's other files tell it."""
    with contextlib.suppress(QcadeError):
        protocol = read_json(run / "provenance.json").get("protocol")
        if isinstance(protocol, dict) and isinstance(md5 := protocol.get("rom_md5"), str):
            return md5
    with contextlib.suppress(QcadeError):
        protocol = read_tape(run).header.get("protocol")
        if isinstance(protocol, dict) and isinstance(md5 := protocol.get("rom_md5"), str):
            return md5
    return None
