from __future__ import annotations

import numpy as np
import pytest

from qcade.games.catch import Catch
from qcade.games.seeds import environment_seeds
from qcade.types import IntArray, TimeStep, UInt8Array


def columns(frame: UInt8Array) -> tuple[IntArray, IntArray]:
    """Find the ball's and the paddle's column in frames [E, 84, 84]."""
    ball = (frame == 255).any(axis=1).argmax(axis=1) // 12
    paddle = np.where(
        (frame[:, -1] == 128).any(axis=1), (frame[:, -1] == 128).argmax(axis=1) // 12, ball
    )
    return ball, paddle


def follow(step: TimeStep) -> IntArray:
    ball, paddle = columns(step.frame)
    return np.asarray(np.sign(ball - paddle) + 1, np.int64)


def test_following_the_ball_always_catches_it() -> None:
    games = Catch().open(20, 0)
    step = games.reset()
    returns = []
    for _ in range(7 * 10):
        games.send(follow(step))
        step = games.recv()
        returns += step.reward[step.discount == 0].tolist()
    assert returns == [1.0] * 200


def test_fleeing_the_ball_always_misses_it() -> None:
    games = Catch().open(20, 0)
    step = games.reset()
    returns = []
    for _ in range(7 * 3):
        away = np.where(columns(step.frame)[0] >= 3, 0, 2)
        games.send(away)
        step = games.recv()
        returns += step.reward[step.discount == 0].tolist()
    assert returns == [-1.0] * 60


def test_frames_and_times_by_hand() -> None:
    games = Catch().open(1, 3)
    step = games.reset()
    assert games.action_meanings == ("LEFT", "NOOP", "RIGHT")
    column = int(columns(step.frame)[0][0])
    for row in range(7):
        expected = np.zeros((84, 84), np.uint8)
        paddle = max(0, 3 - row)
        expected[72:, paddle * 12 : paddle * 12 + 12] = 128
        expected[row * 12 : row * 12 + 12, column * 12 : column * 12 + 12] = 255
        np.testing.assert_array_equal(step.frame[0], expected)
        assert step.first[0] == (row == 0)
        assert step.discount[0] == (row < 6)
        assert (step.reward[0] != 0) == (row == 6)
        games.send(np.array([0]))
        step = games.recv()
    assert step.first[0]
    assert step.reward[0] == 0
    assert columns(step.frame)[1][0] == 3


def test_every_column_occurs_and_games_do_not_depend_on_their_number() -> None:
    many, one = Catch().open(5, 1), Catch().open(1, 1)
    steps = [(many.reset(), one.reset())]
    for _ in range(7 * 40):
        many.send(np.ones(5, np.int64))
        one.send(np.ones(1, np.int64))
        steps.append((many.recv(), one.recv()))
    seen = {int(c) for step, _ in steps for c in columns(step.frame)[0]}
    assert seen == set(range(7))
    assert any((step.frame[0] != step.frame[1]).any() for step, _ in steps)
    for of_many, of_one in steps:
        np.testing.assert_array_equal(of_many.frame[:1], of_one.frame)


def test_wrong_use_is_refused() -> None:
    games = Catch().open(2, 0)
    games.reset()
    with pytest.raises(ValueError, match="send actions"):
        games.recv()
    with pytest.raises(ValueError, match=r"0\.\.2"):
        games.send(np.array([0, 3]))


def test_film_shows_the_episode_that_was_played() -> None:
    games = Catch().open(1, 6)
    step = games.reset()
    actions, rewards = [], []
    while step.discount[0]:
        chosen = follow(step)
        games.send(chosen)
        step = games.recv()
        actions.append(int(chosen[0]))
        rewards.append(float(step.reward[0]))
    filmed = list(Catch().film(int(environment_seeds(6, 1)[0]), actions))
    assert [each.reward for each in filmed] == rewards == [0, 0, 0, 0, 0, 1]
    np.testing.assert_array_equal(filmed[-1].pictures[0][..., 0], step.frame[0])
