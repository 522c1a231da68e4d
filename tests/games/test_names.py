from __future__ import annotations

import gymnasium
import pytest

from qcade.games.names import all_games, canonical, gymnasium_id, title
from qcade.types import QcadeError


@pytest.mark.parametrize(
    ("spelling", "game"),
    [
        ("pong", "pong"),
        ("Pong", "pong"),
        (" PONG ", "pong"),
        ("ALE/Pong-v5", "pong"),
        ("Pong-v4", "pong"),
        ("Pong-v0", "pong"),
        ("PongNoFrameskip-v4", "pong"),
        ("PongDeterministic-v4", "pong"),
        ("space-invaders", "space_invaders"),
        ("space_invaders", "space_invaders"),
        ("Space Invaders", "space_invaders"),
        ("SpaceInvaders", "space_invaders"),
        ("spaceinvaders", "space_invaders"),
        ("ALE/MsPacman-v5", "ms_pacman"),
        ("Ms. Pac-Man", "ms_pacman"),
        ("montezuma_revenge", "montezuma_revenge"),
        ("montezumas_revenge", "montezuma_revenge"),
        ("Q*bert", "qbert"),
        ("H.E.R.O.", "hero"),
        ("atlantis", "atlantis"),
        ("atlantis2", "atlantis2"),
        ("ALE/TicTacToe3D-v5", "tic_tac_toe_3d"),
    ],
)
def test_usual_spellings(spelling: str, game: str) -> None:
    assert canonical(spelling) == game


def test_all_games_are_those_that_gymnasium_registers() -> None:
    registered = {spec for spec in gymnasium.registry if spec.startswith("ALE/")}
    assert len(all_games()) == 104
    assert {gymnasium_id(game) for game in all_games()} == registered


@pytest.mark.parametrize("game", all_games())
def test_every_name_survives_a_round_trip(game: str) -> None:
    for spelling in (game, game.replace("_", "-"), gymnasium_id(game), title(game)):
        assert canonical(spelling) == game


def test_titles() -> None:
    assert title("ALE/SpaceInvaders-v5") == "Space Invaders"
    assert title("qbert") == "Q*bert"
    assert gymnasium_id("space-invaders") == "ALE/SpaceInvaders-v5"


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(QcadeError, match=r'unknown game "pongg": did you mean pong, .* or .*104'):
        canonical("pongg")
    with pytest.raises(QcadeError, match="unknown game"):
        canonical("")
    with pytest.raises(QcadeError, match="two players"):
        canonical("Maze Craze")
