"""The modes and difficulties of an Atari game: variants selected by the console's switches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ale_py

from qcade.games.names import canonical
from qcade.games.roms import find_rom
from qcade.types import QcadeError


class GameModes(NamedTuple):
    """The modes and difficulties that a game offers."""

    modes: tuple[int, ...]
    """All available modes."""
    default_mode: int
    """The mode played if none is set."""
    difficulties: tuple[int, ...]
    """All available difficulties."""
    default_difficulty: int
    """The difficulty played if none is set."""


def modes_of(game: str) -> GameModes:
    """List the modes and difficulties of a game in any spelling; QcadeError if it is unknown."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    emulator = ale_py.ALEInterface()
    emulator.loadROM(find_rom(canonical(game)).path)
    state = emulator.cloneState()
    return GameModes(
        tuple(emulator.getAvailableModes()),
        state.getCurrentMode(),
        tuple(emulator.getAvailableDifficulties()),
        state.getDifficulty(),
    )


def require_modes(game: str, mode: int | None, difficulty: int | None) -> None:
    """Raise QcadeError if the game has no ROM, or no such mode or difficulty."""
    if mode is None and difficulty is None:
        find_rom(canonical(game))
        return
    offered = modes_of(game)
    if mode is not None:
        _require("mode", mode, offered.modes)
    if difficulty is not None:
        _require("difficulty", difficulty, offered.difficulties)


def set_mode(emulator: ale_py.ALEInterface, mode: int | None, difficulty: int | None) -> None:
    """Set mode and difficulty from the next reset on; None leaves the default.

    Raises QcadeError, with the valid values, if the game has no such mode or difficulty.
    """
    if mode is not None:
        _require("mode", mode, emulator.getAvailableModes())
        emulator.setMode(mode)
    if difficulty is not None:
        _require("difficulty", difficulty, emulator.getAvailableDifficulties())
        emulator.setDifficulty(difficulty)


def _require(setting: str, wanted: int, offered: Sequence[int]) -> None:
    if wanted not in offered:
        raise QcadeError(
            f"game.{setting} is {wanted}, which this game does not have: use "
            f"{_any_of([str(each) for each in offered])}"
        )


def _any_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
