from __future__ import annotations

import dataclasses
import platform
import sys
from typing import TypeAlias

import ale_py
import numpy as np
import pytest
from ale_py import roms

from qcade.games.atari import Atari
from qcade.games.modes import GameModes, modes_of
from qcade.games.random_skip import RandomSkipAtari
from qcade.games.seeds import environment_seeds
from qcade.parts import Environments
from qcade.types import IntArray, QcadeError, TimeStep

AtariGame: TypeAlias = Atari | RandomSkipAtari

# Elsewhere OpenCV, which the vector interface resizes with, has other code and may round otherwise.
GREY_LEVELS_APART = 0 if platform.machine() in ("x86_64", "AMD64") else 1
# How the vector interface draws the length of an opening is up to the compiler's library.
NOOP_MAX = 30 if sys.platform == "linux" else 0


def play(opened: Environments, actions: IntArray) -> list[TimeStep]:
    """All rows of a first episode and what follows; actions are int64 [T, E]."""
    steps = [opened.reset()]
    for each in actions:
        opened.send(each)
        steps.append(opened.recv())
    return steps


def some_actions(decisions: int, environments: int = 1, actions: int = 4) -> IntArray:
    return np.random.default_rng(0).integers(actions, size=(decisions, environments))


def require_equal(one: TimeStep, other: TimeStep) -> None:
    difference = np.abs(one.frame.astype(int) - other.frame.astype(int))
    assert difference.max() <= GREY_LEVELS_APART
    for name in ("reward", "discount", "first"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.mark.parametrize(
    "game",
    [
        # Games end, at any frame of a decision, and lives are lost.
        Atari("breakout", fire_reset=True, noop_max=NOOP_MAX, sticky_actions=0.25),
        # Episodes are cut, also in the middle of a decision.
        Atari("space_invaders", max_episode_frames=301, noop_max=NOOP_MAX),
        # One frame is no maximum of two; whole numbers shrink otherwise than fractions do.
        Atari("pong", frame_skip=1, height=105, width=80, noop_max=0, full_action_set=True),
        # A screen of another height, enlarged.
        Atari("air_raid", frame_skip=2, height=300, width=84, noop_max=NOOP_MAX),
    ],
    ids=lambda game: game.game,
)
def test_the_default_mode_plays_exactly_as_where_none_is_chosen(game: Atari) -> None:
    chosen = dataclasses.replace(game, mode=modes_of(game.game).default_mode)
    opened = [each.open(2, 5, 1) for each in (game, chosen)]
    assert opened[0].action_meanings == opened[1].action_meanings
    plays = [play(each, some_actions(110, 2)) for each in opened]
    for one, other in zip(*plays, strict=True):
        require_equal(one, other)
    if game.game == "breakout":
        assert sum(int(step.first.sum()) for step in plays[0]) >= 2
    # And after one of them was seeded anew.
    frames = [each.reseed(np.array([1]), np.array([77])) for each in opened]
    assert np.abs(frames[0].astype(int) - frames[1].astype(int)).max() <= GREY_LEVELS_APART
    for actions in some_actions(5, 2):
        rows = []
        for each in opened:
            each.send(actions)
            rows.append(each.recv())
        require_equal(rows[0], rows[1])
    for each in opened:
        each.close()
        each.close()


@pytest.mark.parametrize(("height", "width"), [(42, 32), (210, 84), (420, 320), (1, 7)])
def test_frames_are_resized_as_the_vector_interface_does(height: int, width: int) -> None:
    frames = []
    for mode in (None, 0):
        game = Atari("space_invaders", mode=mode, height=height, width=width, noop_max=0)
        opened = game.open(1, 1, 1)
        frames.append(np.stack([step.frame for step in play(opened, some_actions(3))]))
        opened.close()
    assert frames[0].shape == (4, 1, height, width)
    assert np.abs(frames[0].astype(int) - frames[1].astype(int)).max() <= GREY_LEVELS_APART


@pytest.mark.parametrize(
    "game",
    [
        Atari("breakout", mode=12),
        Atari("space_invaders", mode=9),
        Atari("pong", mode=1),
        Atari("pong", difficulty=1),
        RandomSkipAtari("pong", mode=1),
        RandomSkipAtari("pong", difficulty=1),
    ],
)
def test_another_mode_or_difficulty_looks_different(game: AtariGame) -> None:
    plays = []
    for each in (dataclasses.replace(game, mode=None, difficulty=None), game):
        opened = each.open(1, 3, 1)
        plays.append(np.stack([s.frame for s in play(opened, some_actions(30))]))
        opened.close()
    assert (plays[0] != plays[1]).any()


@pytest.mark.parametrize("part", [Atari, RandomSkipAtari])
def test_a_mode_or_difficulty_that_a_game_does_not_have_is_refused_with_those_it_has(
    part: type[AtariGame],
) -> None:
    with pytest.raises(QcadeError, match=r"game.mode is 2, .* use 0 or 1$"):
        part("pong", mode=2).open(1, 0, 1)
    with pytest.raises(QcadeError, match=r"game.mode is 5, .* use 0, 4, 8, .*, 40 or 44$"):
        part("breakout", mode=5).open(1, 0, 1)
    with pytest.raises(QcadeError, match=r"game.difficulty is 1, .* use 0$"):
        part("ms_pacman", mode=0, difficulty=1).open(1, 0, 1)


def test_seeds_and_actions_bring_a_mode_back_whatever_came_before() -> None:
    game = Atari("space_invaders", mode=5, difficulty=1, sticky_actions=0.25)
    actions = some_actions(40, 2)
    two = game.open(2, 5, 1)
    first = play(two, actions)
    two.reseed(np.array([0, 1]), environment_seeds(5, 2))
    again = []
    for each in actions:
        two.send(each)
        again.append(two.recv())
    alone = game.open(1, 5, 1)
    one = play(alone, actions[:, :1])
    for a, b, c in zip(first[1:], again, one[1:], strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
        np.testing.assert_array_equal(a.frame[:1], c.frame)
    assert (first[-1].frame[0] != first[-1].frame[1]).any()


def test_actions_before_a_reset_are_refused_and_do_not_end_the_process() -> None:
    opened = Atari("pong", mode=1).open(1, 0, 1)
    opened.send(np.array([0]))
    with pytest.raises(ValueError, match="first reset"):
        opened.recv()
    with pytest.raises(ValueError, match=r"0\.\.5"):
        opened.send(np.array([6]))
    opened.close()


def test_a_second_reset_waits_for_a_decision_and_opens_another_episode() -> None:
    opened = Atari("space_invaders", mode=2).open(1, 0, 1)
    opened.reset()
    opened.send(np.array([1]))
    step = opened.reset()
    assert step.first.all()
    kept = step.frame.copy()
    opened.send(np.array([1]))
    assert not opened.recv().first.any()
    np.testing.assert_array_equal(step.frame, kept)
    opened.close()


@pytest.mark.parametrize(
    "game",
    [
        Atari("space_invaders", mode=9, difficulty=1, noop_max=0, max_episode_frames=402),
        RandomSkipAtari("space_invaders", mode=9, difficulty=1, max_episode_decisions=100),
    ],
    ids=["fixed skip", "random skip"],
)
def test_film_shows_every_frame_of_the_mode_that_was_played(game: AtariGame) -> None:
    opened = game.open(1, 3, 1)
    actions = some_actions(160, actions=6)
    rewards = [float(step.reward[0]) for step in play(opened, actions)[1:]]
    opened.close()
    filmed = list(game.film(int(environment_seeds(3, 1)[0]), actions[:, 0].tolist()))
    assert sum(rewards) > 0
    assert [step.reward for step in filmed] == rewards
    assert sum(step.first for step in filmed) == 1
    # The first picture, as the emulator itself shows it in that mode.
    emulator = ale_py.ALEInterface()
    emulator.loadROM(str(roms.get_rom_path("space_invaders")))
    emulator.setMode(9)
    emulator.setDifficulty(1)
    emulator.reset_game()
    emulator.act(emulator.getMinimalActionSet()[actions[0, 0]])
    np.testing.assert_array_equal(filmed[0].pictures[0], emulator.getScreenRGB())


def test_what_a_game_offers_is_listed() -> None:
    assert modes_of("Pong") == GameModes((0, 1), 0, (0, 1, 2, 3), 0)
    assert modes_of("backgammon") == GameModes((0,), 0, (3,), 0)
    assert modes_of("ALE/AirRaid-v5") == GameModes((1, 2, 3, 4, 5, 6, 7, 8), 1, (0,), 0)
    with pytest.raises(QcadeError, match="unknown game"):
        modes_of("pongg")


@pytest.mark.parametrize("part", [Atari, RandomSkipAtari])
def test_the_protocol_tells_a_mode_where_one_is_chosen(part: type[AtariGame]) -> None:
    plain, chosen = part("pong").protocol(), part("pong", mode=0, difficulty=1).protocol()
    assert plain.keys() & {"mode", "difficulty"} == set()
    assert chosen == {**plain, "mode": 0, "difficulty": 1}
