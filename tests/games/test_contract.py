"""What an environment returns and raises is checked, and said in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import odd_environments  # noqa: F401
from qcade.games.catch import Catch, CatchEnvironments
from qcade.games.gymnasium import GymnasiumGame
from qcade.games.opening import open_game, try_out
from qcade.games.seeds import environment_seeds
from qcade.parts import Environments, Game
from qcade.types import EnvironmentFailed, IntArray, QcadeError, TimeStep


def game(fault: str, env_id: str = "odd_environments:Odd-v0", at: int = 1) -> GymnasiumGame:
    arguments = (f"fault={fault}", f"at={at}") if env_id.endswith(":Odd-v0") else ()
    return GymnasiumGame(env_id, 8, 8, arguments=arguments)


def play_once(game: Game) -> None:
    """Open a game, make a decision, and close it."""
    environments = open_game(game, 1, 0, 1)
    try:
        try_out(environments, 1)
    finally:
        environments.close()


@pytest.mark.parametrize(
    ("fault", "given", "needed"),
    [
        ("nan", r"the reward is nan \(float\)", "a finite number"),
        ("inf", r"the reward is inf", "a finite number"),
        ("none", r"the reward is None", "a finite number"),
        ("text", r"the reward is '1' \(str\)", "a finite number"),
        ("beyond float32", r"the reward is 1e\+39", "fits a float32"),
        ("array of two", r"the reward is an array of float64 of shape \(2,\)", "a finite number"),
        ("complex", r"the reward is 1j", "a finite number"),
        ("float frames", r"an array of float32 of shape \(8, 8, 3\) .* to 0.07", "a uint8 array"),
        ("small frames", r"an array of uint8 of shape \(4, 8, 3\)", r"of shape \(8, 8, 3\)"),
        ("step frames", r"an array of uint8 of shape \(8, 8, 4\)", r"of shape \(8, 8, 3\)"),
        ("reset returns a frame", "reset returned an array", "Gymnasium 0.26"),
        ("reset without info", "info is None", "a dict"),
        ("no lives", r'info\["lives"\] is None', "a whole number"),
        ("step lives", r'info\["lives"\] is \'three\'', "a whole number"),
        ("info", "info is None", "a dict"),
        ("four values", "step returned a tuple of 4", r"step\(action\) that returns"),
        ("terminated", "terminated is None", "True or False"),
        ("truncated", "truncated is an array of bool", "True or False"),
    ],
)
def test_what_an_environment_gives_is_named_with_what_is_needed(
    fault: str, given: str, needed: str
) -> None:
    with pytest.raises(EnvironmentFailed) as failure:
        play_once(game(fault))
    sentence = str(failure.value)
    assert sentence.startswith("odd_environments:Odd-v0 does not follow Gymnasium's interface")
    assert failure.match(given)
    assert failure.match(needed)
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("env_id", "sentence"),
    [
        ("odd_environments:NoSeed-v0", "reset does not take seed and options"),
        ("odd_environments:NoOptions-v0", "reset does not take seed and options"),
    ],
)
def test_a_reset_of_an_older_interface_is_named(env_id: str, sentence: str) -> None:
    with pytest.raises(EnvironmentFailed, match=sentence):
        play_once(game("", env_id))


def test_four_values_inside_a_time_limit_are_recognised_too() -> None:
    limited = GymnasiumGame(
        "odd_environments:Odd-v0", 8, 8, arguments=("fault=four values", "at=1")
    )
    import gymnasium

    gymnasium.register("Limited-v0", "odd_environments:Odd", max_episode_steps=9)
    with pytest.raises(EnvironmentFailed, match="needed: step"):
        play_once(GymnasiumGame("Limited-v0", 8, 8, arguments=limited.arguments))
    del gymnasium.registry["Limited-v0"]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("constructor", "raised RuntimeError in its constructor: no display"),
        ("reset raises", "raised ValueError in reset: no such level"),
        ("system exit", "raised SystemExit in step: 0"),
        ("broken pipe", "raised BrokenPipeError in step: .*Broken pipe"),
        ("no space", "raised OSError in step: .*No space left"),
        ("interrupt", "raised KeyboardInterrupt in step"),
        ("close raises", "raised RuntimeError in close: already closed"),
    ],
)
def test_whatever_is_raised_is_one_kind_of_error(fault: str, sentence: str) -> None:
    with pytest.raises(EnvironmentFailed, match=sentence) as failure:
        play_once(game(fault))
    assert failure.value.__cause__ is not None
    assert failure.value.exit_code == 1


def test_an_array_of_one_number_is_that_number() -> None:
    environments = game("array").open(1, 0)
    environments.reset()
    firsts, rewards = [], []
    for _ in range(6):
        environments.send(np.array([0]))
        step = environments.recv()
        firsts.append(bool(step.first[0]))
        rewards.append(float(step.reward[0]))
    environments.close()
    assert rewards == [1, 1, 1, 1, 1, 0]
    assert firsts == [False] * 5 + [True]


def test_one_thread_makes_resets_steps_renders_and_closes() -> None:
    environments = game("thread").open_filmed(0)
    environments.reset()
    for _ in range(7):
        environments.send(np.array([0]))
        environments.recv()
        environments.picture()
    environments.reseed(np.array([0]), np.array([4]))
    environments.close()


def test_without_a_render_mode_the_observation_is_the_picture() -> None:
    environments = game("", "odd_environments:NoRenderMode-v0").open_filmed(0)
    environments.reset()
    assert int(environments.picture().max()) == 20
    environments.close()


def test_every_environment_is_closed_when_one_of_them_fails_to() -> None:
    environments = game("close raises").open(3, 0)
    with pytest.raises(EnvironmentFailed, match="in close"):
        environments.close()
    environments.close()


@dataclass(frozen=True)
class OwnGame(Catch):
    """Catch whose rows are spoilt, or which raises."""

    fault: str = ""

    def open(self, environments: int, seed: int, threads: int = 0) -> CatchEnvironments:
        if self.fault == "open":
            raise RuntimeError("no cartridge")
        return Spoilt(environment_seeds(seed, environments), self.fault)


class Spoilt(CatchEnvironments):
    def __init__(self, seeds: IntArray, fault: str) -> None:
        super().__init__(seeds)
        self.fault = fault

    def send(self, actions: IntArray) -> None:
        if self.fault == "send":
            raise BrokenPipeError(32, "gone")
        super().send(actions)

    def recv(self) -> TimeStep:
        step = super().recv()
        match self.fault:
            case "reward":
                return step._replace(reward=np.full(1, np.nan, np.float32))
            case "objects":
                return step._replace(reward=np.array([None]))
            case "discount":
                return step._replace(discount=np.full(1, 1.5, np.float32))
            case "frame":
                return step._replace(frame=(step.frame / 255.0))  # type: ignore[arg-type]
            case "first":
                return step._replace(first=step.first.astype(np.int64))
            case "recv":
                raise SystemExit
        return step


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("reward", r"rewards are \[nan\]; needed: 1 finite numbers"),
        ("objects", r"rewards are \[None\]"),
        ("discount", r"discounts are \[1.5\]"),
        ("frame", r"frames are float64 \(1, 84, 84\); needed: uint8"),
        ("first", r"`first` is \[1\]"),
        ("open", "catch raised RuntimeError in open: no cartridge"),
        ("send", "catch raised BrokenPipeError in send"),
        ("recv", "catch raised SystemExit in reset"),
    ],
)
def test_rows_of_a_game_of_ones_own_are_checked(fault: str, sentence: str) -> None:
    with pytest.raises(EnvironmentFailed, match=sentence):
        play_once(OwnGame(fault=fault))


def test_what_send_raises_comes_when_the_updates_are_made() -> None:
    environments: Environments = open_game(OwnGame(fault="send"), 1, 0)
    environments.reset()
    environments.send(np.zeros(1, np.int64))
    with pytest.raises(EnvironmentFailed, match="in send"):
        environments.recv()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("size",), "not a keyword argument"),
        (("=8",), "not a keyword argument"),
        (("at=1", "at=2"), "at is given twice"),
        (("render_mode=human",), "render_mode is chosen by qcade"),
        (("max_episode_steps=5",), "max_episode_steps is chosen by qcade"),
    ],
)
def test_arguments_are_names_and_values(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(QcadeError, match=sentence):
        GymnasiumGame("odd_environments:Odd-v0", arguments=words).open(1, 0)


def test_arguments_reach_the_environment_and_the_protocol() -> None:
    short = GymnasiumGame("odd_environments:Odd-v0", 8, 8, arguments=("length=2", "fault=words"))
    assert short.protocol()["arguments"] == {"length": 2, "fault": "words"}
    environments = short.open(1, 0)
    environments.reset()
    discounts = []
    for _ in range(2):
        environments.send(np.zeros(1, np.int64))
        discounts.append(float(environments.recv().discount[0]))
    environments.close()
    assert discounts == [1, 0]
    with pytest.raises(EnvironmentFailed, match="unexpected keyword argument 'size'"):
        GymnasiumGame("odd_environments:Odd-v0", arguments=("size=3",)).open(1, 0)
