"""The names of Atari games: a canonical snake_case name for each, and its usual spellings."""

from __future__ import annotations

import difflib
import functools
import re

from ale_py import registration, roms

from qcade.types import QcadeError

# Gymnasium registers every ROM except these, which need two players.
_NEED_TWO_PLAYERS = frozenset({"combat", "joust", "maze_craze", "warlords"})

# Only titles that differ from the capitalised canonical name.
_TITLES = {
    "atlantis2": "Atlantis II",
    "darkchambers": "Dark Chambers",
    "et": "E.T.",
    "hero": "H.E.R.O.",
    "jamesbond": "James Bond",
    "kaboom": "Kaboom!",
    "koolaid": "Kool-Aid Man",
    "kung_fu_master": "Kung-Fu Master",
    "montezuma_revenge": "Montezuma's Revenge",
    "mr_do": "Mr. Do!",
    "ms_pacman": "Ms. Pac-Man",
    "pacman": "Pac-Man",
    "pitfall": "Pitfall!",
    "pitfall2": "Pitfall II",
    "qbert": "Q*bert",
    "riverraid": "River Raid",
    "robotank": "Robot Tank",
    "tic_tac_toe_3d": "3D Tic-Tac-Toe",
    "trondead": "Tron: Deadly Discs",
    "up_n_down": "Up 'n Down",
    "wizard_of_wor": "Wizard of Wor",
    "yars_revenge": "Yars' Revenge",
}

_EXTRA_SPELLINGS = {
    "jamesbond007": "jamesbond",
    "upanddown": "up_n_down",
}

_GYMNASIUM_ENDING = re.compile(r"(noframeskip|deterministic)?-v\d+$")
_NOT_A_LETTER_OR_DIGIT = re.compile(r"[^a-z0-9]")


@functools.cache
def all_games() -> tuple[str, ...]:
    """List the canonical names of the 104 single-player games, sorted."""
    return tuple(sorted(set(roms.get_all_rom_ids()) - _NEED_TWO_PLAYERS))


def canonical(name: str) -> str:
    """Return the canonical name for any usual spelling; QcadeError if it is unknown."""
    spelling = name.strip().casefold().removeprefix("ale/")
    spelling = _letters(_GYMNASIUM_ENDING.sub("", spelling))
    known = _spellings()
    if spelling in known:
        return known[spelling]
    if spelling in map(_letters, _NEED_TWO_PLAYERS):
        raise QcadeError(
            f'"{name}" needs two players and cannot be played '
            f"(`qcade games` lists all {len(all_games())} games)"
        )
    raise QcadeError(
        f'unknown game "{name}": did you mean {_nearest(spelling)}? '
        f"(`qcade games` lists all {len(all_games())})"
    )


def gymnasium_id(game: str) -> str:
    """Return the Gymnasium id of a game in any spelling, such as `ALE/SpaceInvaders-v5`."""
    return f"ALE/{registration.rom_id_to_name(canonical(game))}-v5"


def title(game: str) -> str:
    """Return the title of a game in any spelling, such as `Space Invaders`."""
    name = canonical(game)
    return _TITLES.get(name, name.replace("_", " ").title())


@functools.cache
def _spellings() -> dict[str, str]:
    return {
        **_EXTRA_SPELLINGS,
        **{_letters(shown): game for game, shown in _TITLES.items()},
        **{_letters(game): game for game in all_games()},
    }


def _letters(name: str) -> str:
    return _NOT_A_LETTER_OR_DIGIT.sub("", name.casefold())


def _nearest(spelling: str) -> str:
    known = _spellings()
    close = difflib.get_close_matches(spelling, known, n=6, cutoff=0.0)
    games = list(dict.fromkeys(known[match] for match in close))[:3]
    return f"{', '.join(games[:-1])} or {games[-1]}"
