from __future__ import annotations

import numpy as np
import pytest
from ale_py.env import AtariEnv

from qcade.games.random_skip import RandomSkipAtari
from qcade.games.seeds import environment_seeds
from qcade.types import QcadeError


def test_frames_equal_those_made_by_hand_and_skips_are_2_to_4() -> None:
    environments = RandomSkipAtari("pong").open(1, 9)
    step = environments.reset()
    raw = AtariEnv("pong", frameskip=(2, 5), repeat_action_probability=0.0)
    image, info = raw.reset(seed=int(environment_seeds(9, 1)[0]))
    skips = set()
    for i in range(60):
        assert isinstance(image, np.ndarray)
        by_hand = image.mean(axis=2).astype(np.uint8)[::2, ::2]
        assert step.frame.shape == (1, 105, 80)
        np.testing.assert_array_equal(step.frame[0], by_hand)
        environments.send(np.array([i % 6]))
        step = environments.recv()
        before = info["frame_number"]
        image, _, _, _, info = raw.step(i % 6)
        skips.add(info["frame_number"] - before)
    environments.close()
    assert skips == {2, 3, 4}


def test_cut_off_after_so_many_decisions() -> None:
    environments = RandomSkipAtari("pong", max_episode_decisions=5).open(1, 0)
    steps = [environments.reset()]
    for _ in range(6):
        environments.send(np.array([0]))
        steps.append(environments.recv())
    environments.close()
    assert [bool(step.first[0]) for step in steps] == [True] + [False] * 5 + [True]
    assert all(step.discount[0] == 1 for step in steps)
    assert steps[5].frame.any()


@pytest.mark.parametrize("blank", [True, False])
def test_only_the_terminal_frame_is_blank(blank: bool) -> None:
    environments = RandomSkipAtari("space_invaders", blank_terminal_frame=blank).open(1, 0)
    environments.reset()
    for i in range(3000):
        environments.send(np.array([i // 7 % 6]))
        step = environments.recv()
        if step.discount[0] == 0:
            break
        assert step.frame.any()
    environments.close()
    assert step.discount[0] == 0
    assert step.frame.any() != blank


@pytest.mark.parametrize("sticky_actions", [0.0, 0.25])
def test_film_shows_the_episode_that_was_played(sticky_actions: float) -> None:
    game = RandomSkipAtari("space_invaders", sticky_actions=sticky_actions)
    environments = game.open(1, 4)
    environments.reset()
    actions = [int(action) for action in np.random.default_rng(0).integers(6, size=300)]
    rewards, frames = [], []
    for action in actions:
        environments.send(np.array([action]))
        step = environments.recv()
        rewards.append(float(step.reward[0]))
        frames.append(step.frame[0])
    environments.close()
    filmed = list(game.film(int(environment_seeds(4, 1)[0]), actions))
    assert sum(rewards) > 0
    assert [step.reward for step in filmed] == rewards
    assert {len(step.pictures) for step in filmed} == {2, 3, 4}
    last = filmed[-1].pictures[-1]
    np.testing.assert_array_equal(last.mean(axis=2).astype(np.uint8)[::2, ::2], frames[-1])


def test_settings() -> None:
    game = RandomSkipAtari("Space Invaders")
    assert (game.slug, game.frames_per_decision) == ("space_invaders", 3)
    assert game.protocol()["frame_skip"] == [2, 5]
    with pytest.raises(QcadeError, match="frame_skip is 5, 2"):
        RandomSkipAtari(frame_skip=(5, 2))
