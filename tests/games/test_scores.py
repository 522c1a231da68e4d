from __future__ import annotations

import pytest

from qcade.games.names import all_games
from qcade.games.scores import HUMAN_RANDOM, human_normalized, published


@pytest.mark.parametrize("game", HUMAN_RANDOM)
def test_random_play_is_zero_and_a_person_one(game: str) -> None:
    random, human = HUMAN_RANDOM[game]
    assert human_normalized(game, random) == 0
    assert human_normalized(game, human) == pytest.approx(1)


def test_tables_hold_57_games_under_canonical_names() -> None:
    assert len(HUMAN_RANDOM) == 57
    assert set(HUMAN_RANDOM) <= set(all_games())
    assert {game for game in all_games() if published(game)} == set(HUMAN_RANDOM)


def test_known_figures() -> None:
    assert HUMAN_RANDOM["pong"] == (-20.7, 14.6)
    assert human_normalized("ALE/Breakout-v5", 401.2) == pytest.approx(13.878, abs=1e-2)
    assert published("Space Invaders")["DQN"] == 1976.0
    assert published("alien") == {
        "DQN": 3069.0,
        "DDQN": 3747.7,
        "PER": 900.5,
        "Dueling": 4461.4,
        "C51": 3166.0,
        "QR-DQN": 4871.0,
        "IQN": 7022.0,
        "Rainbow": 9491.7,
    }


def test_what_was_never_measured_is_absent() -> None:
    assert human_normalized("catch", 1.0) is None
    assert human_normalized("tetris", 1.0) is None
    assert published("catch") == {}
    assert "DQN" not in published("berzerk")


def test_the_table_cannot_be_spoilt_by_its_reader() -> None:
    published("pong").clear()
    assert published("pong")
