from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from qcade.games.frames import area, subsampled_mean
from qcade.games.gymnasium import GymnasiumGame
from qcade.games.stepping import EpisodeRules, GymnasiumEnvironments
from qcade.types import EnvironmentFailed, QcadeError


class Counter(gymnasium.Env[Any, Any]):
    """Shows how many steps were taken; ends after 5, loses a life at 2, fails on action 2."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}  # noqa: RUF012

    def __init__(
        self, shape: tuple[int, ...] = (8, 6, 3), render_mode: str | None = None, actions: Any = 3
    ) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self.action_space = spaces.Discrete(actions) if isinstance(actions, int) else actions
        self.seeds: list[int | None] = []
        self.actions: list[int] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.steps = 0
        return self.render(), {"lives": 2}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action == 2:
            raise RuntimeError("the environment broke")
        self.steps += 1
        self.actions.append(action)
        lives = 2 if self.steps < 2 else 1
        return self.render(), 10.0 * self.steps, self.steps == 5, False, {"lives": lives}

    def render(self) -> Any:
        return np.full(self.observation_space.shape, 20 + self.steps, np.uint8)


def make_counter(**settings: Any) -> gymnasium.Env[Any, Any]:
    return Counter(**settings)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gymnasium.register("Counter-v0", make_counter)
    gymnasium.register("Stacked-v0", make_counter, kwargs={"shape": (4, 8, 6)})
    gymnasium.register("Grey-v0", make_counter, kwargs={"shape": (8, 6, 1)})
    box = spaces.Box(-1.0, 1.0, (2,), np.float32)
    gymnasium.register("Steered-v0", make_counter, kwargs={"actions": box})
    yield
    for name in ("Counter-v0", "Stacked-v0", "Grey-v0", "Steered-v0"):
        del gymnasium.registry[name]


def opened(rules: EpisodeRules, count: int = 2) -> tuple[list[Counter], GymnasiumEnvironments]:
    made: list[Counter] = []

    def make() -> Counter:
        made.append(Counter())
        return made[-1]

    seeds = np.arange(count) + 50
    return made, GymnasiumEnvironments("Counter-v0", make, seeds, area(8, 6), (8, 6), rules)


def episode(rules: EpisodeRules, decisions: int) -> tuple[list[int], list[float], list[float], str]:
    _, environments = opened(rules, 1)
    steps = [environments.reset()]
    for _ in range(decisions):
        environments.send(np.array([1]))
        steps.append(environments.recv())
    environments.close()
    return (
        [int(step.frame.max()) for step in steps],
        [float(step.reward[0]) for step in steps],
        [float(step.discount[0]) for step in steps],
        "".join("F" if step.first[0] else "." for step in steps),
    )


def test_an_end_is_shown_and_the_next_step_opens_an_episode() -> None:
    frames, rewards, discounts, firsts = episode(EpisodeRules(), 7)
    assert frames == [20, 21, 22, 23, 24, 25, 20, 21]
    assert rewards == [0, 10, 20, 30, 40, 50, 0, 10]
    assert discounts == [1, 1, 1, 1, 1, 0, 1, 1]
    assert firsts == "F.....F."


def test_life_loss_has_discount_zero_without_an_end() -> None:
    _, _, discounts, firsts = episode(EpisodeRules(life_loss_terminal=True), 7)
    assert discounts == [1, 1, 0, 1, 1, 0, 1, 1]
    assert firsts == "F.....F."


def test_cut_off_keeps_its_frame_and_discount_one() -> None:
    rules = EpisodeRules(max_episode_decisions=3, blank_terminal_frame=True)
    frames, _, discounts, firsts = episode(rules, 7)
    assert frames == [20, 21, 22, 23, 20, 21, 22, 23]
    assert discounts == [1] * 8
    assert firsts == "F...F..."


def test_blank_terminal_frame() -> None:
    frames, rewards, _, _ = episode(EpisodeRules(blank_terminal_frame=True), 6)
    assert frames == [20, 21, 22, 23, 24, 0, 20]
    assert rewards[5] == 50


def test_only_the_first_reset_is_seeded() -> None:
    made, environments = opened(EpisodeRules(max_episode_decisions=1))
    environments.reset()
    for _ in range(2):
        environments.send(np.array([0, 1]))
        environments.recv()
    environments.reset()
    environments.close()
    assert [each.seeds for each in made] == [[50, None, None], [51, None, None]]
    assert [each.actions for each in made] == [[0], [1]]


def test_sending_returns_before_the_environment_has_stepped() -> None:
    made, environments = opened(EpisodeRules(), 1)
    environments.reset()
    step = made[0].step

    def slow(action: Any) -> Any:
        time.sleep(0.2)
        return step(action)

    made[0].step = slow  # type: ignore[method-assign]
    started = time.perf_counter()
    environments.send(np.array([1]))
    assert time.perf_counter() - started < 0.1
    assert environments.recv().reward[0] == 10
    environments.close()


def test_what_the_environment_raises_is_raised_by_recv() -> None:
    _, environments = opened(EpisodeRules())
    environments.reset()
    environments.send(np.array([0, 2]))
    with pytest.raises(
        EnvironmentFailed, match="Counter-v0 raised RuntimeError in step: the environment broke"
    ) as failure:
        environments.recv()
    assert isinstance(failure.value.__cause__, RuntimeError)
    environments.close()
    environments.close()


def test_send_and_recv_take_turns() -> None:
    _, environments = opened(EpisodeRules(), 1)
    environments.reset()
    with pytest.raises(ValueError, match="send actions"):
        environments.recv()
    environments.send(np.array([0]))
    with pytest.raises(ValueError, match="receive"):
        environments.send(np.array([0]))
    environments.close()


@pytest.mark.parametrize("env_id", ["Counter-v0", "Grey-v0"])
def test_registered_games_open_at_the_size_asked_for(env_id: str) -> None:
    game = GymnasiumGame(env_id, height=5, width=7)
    environments = game.open(2, 0)
    step = environments.reset()
    environments.close()
    assert step.frame.shape == (2, 5, 7)
    assert (step.frame == 20).all()
    assert environments.action_meanings == ("0", "1", "2")


def test_own_limit_replaces_the_registered_one() -> None:
    gymnasium.register("Short-v0", make_counter, max_episode_steps=2)
    for game, wanted in (
        (GymnasiumGame("Short-v0"), 2),
        (GymnasiumGame("Short-v0", 8, 6, 1, 4), 4),
    ):
        assert game.protocol()["max_episode_decisions"] == wanted
        environments = game.open(1, 0)
        environments.reset()
        for _ in range(wanted):
            environments.send(np.array([0]))
            assert not environments.recv().first[0]
        environments.send(np.array([0]))
        assert environments.recv().first[0]
        environments.close()
    del gymnasium.registry["Short-v0"]


def test_unplayable_environments_say_why() -> None:
    with pytest.raises(QcadeError, match=r"Stacked-v0 has the observation space .*\(4, 8, 6\)"):
        GymnasiumGame("Stacked-v0").open(1, 0)
    with pytest.raises(QcadeError, match=r"Steered-v0 has the action space Box"):
        GymnasiumGame("Steered-v0").open(1, 0)
    with pytest.raises(QcadeError, match=r"did you mean .*Counter-v0"):
        GymnasiumGame("Countr-v0").open(1, 0)
    with pytest.raises(QcadeError, match="no_such_module"):
        GymnasiumGame("no_such_module:Counter-v0").open(1, 0)


def test_slugs_and_film() -> None:
    assert GymnasiumGame("ALE/SpaceInvaders-v5").slug == "space_invaders"
    assert GymnasiumGame("module:Space/MyGame-v3").slug == "my_game"
    game = GymnasiumGame("Counter-v0")
    assert game.pictures_per_second == 12
    environments = game.open_filmed(0)
    environments.reset()
    assert environments.picture().shape == (8, 6, 3)
    assert int(environments.picture().max()) == 20
    environments.send(np.array([1]))
    environments.recv()
    assert int(environments.picture().max()) == 21
    environments.close()
    with pytest.raises(QcadeError, match="cannot be recreated"):
        game.film(0, [0, 1, 1])


def test_an_atari_id_plays_and_its_stickiness_is_in_the_protocol() -> None:
    game = GymnasiumGame("ALE/Pong-v5", frame_skip=4)
    environments = game.open(1, 0)
    assert environments.reset().frame.shape == (1, 84, 84)
    assert environments.action_meanings[:2] == ("NOOP", "FIRE")
    environments.close()
    registered = game.protocol()["registered"]
    assert isinstance(registered, dict)
    assert registered["repeat_action_probability"] == 0.25


def test_frame_functions() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0] = (10, 20, 32)
    image[2, 2] = 255
    expected = [[20, 0], [0, 255]]
    np.testing.assert_array_equal(subsampled_mean()(image), expected)
    np.testing.assert_array_equal(subsampled_mean()(image[..., 0]), [[10, 0], [0, 255]])
    grey = np.array([[0, 100], [200, 100]], np.uint8)
    np.testing.assert_array_equal(area(1, 1)(grey), [[100]])
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_array_equal(area(2, 2)(red), np.full((2, 2), 76))
