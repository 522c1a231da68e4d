"""What qcade requires of an environment, checked when it is opened and at every step.

Each check looks at one number, flag or shape, so a step costs a few microseconds more. Every error
of an environment becomes an `EnvironmentFailed` that names the environment, what it returned and
what is needed; an exception that it raised stays the `__cause__`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces

from qcade.types import EnvironmentFailed, QcadeError, UInt8Array

Result = TypeVar("Result")

LARGEST_REWARD = float(np.finfo(np.float32).max)
RESET = "reset(*, seed=None, options=None) that returns (observation, info)"
STEP = "step(action) that returns (observation, reward, terminated, truncated, info)"
API = "as in Gymnasium 0.26 and newer"


class Reset(NamedTuple):
    """What `reset` returned, checked."""

    frame: UInt8Array
    """uint8, of the declared shape."""
    lives: int
    """`info["lives"]`, or 0 if there is none."""


class Step(NamedTuple):
    """What `step` returned, checked."""

    frame: UInt8Array
    """uint8, of the declared shape."""
    reward: float
    """Finite, and within the range of float32."""
    terminated: bool
    """Whether the game ended."""
    truncated: bool
    """Whether the episode was truncated."""
    lives: int
    """`info["lives"]`, or 0 if there is none."""


def guarded(name: str, act: str, call: Callable[[], Result]) -> Result:
    """Call into an environment; any exception it raises becomes an `EnvironmentFailed`.

    `act` names the call, for example "step". Only for use in the environment's own thread, where
    KeyboardInterrupt can only come from the environment itself.
    """
    try:
        return call()
    except QcadeError:
        raise
    except BaseException as error:
        raise _misunderstood(name, error) or raised(name, act, error) from error


def raised(name: str, act: str, error: BaseException) -> EnvironmentFailed:
    """Return an `EnvironmentFailed` that says in one line what an environment raised."""
    lines = str(error).strip().splitlines()
    text = f": {lines[0]}" if lines else ""
    return EnvironmentFailed(f"{name} raised {type(error).__name__} in {act}{text}")


def _misunderstood(name: str, error: BaseException) -> EnvironmentFailed | None:
    """Recognise errors of Python and Gymnasium's wrappers that mean an outdated interface."""
    text = str(error)
    if isinstance(error, TypeError) and "reset()" in text and "argument" in text:
        return _broken(name, f"reset does not take seed and options ({text})", f"{RESET}, {API}")
    if isinstance(error, ValueError) and "values to unpack" in text and _is_of_gymnasium(error):
        return _broken(name, f"step or reset returned something else ({text})", f"{STEP}, {API}")
    return None


def _is_of_gymnasium(error: BaseException) -> bool:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else str(place.tb_frame.f_globals.get("__name__"))
    return module.startswith("gymnasium.")


def check_spaces(name: str, environment: gymnasium.Env[Any, Any]) -> None:
    """Raise QcadeError if agents cannot use an environment's actions or observations."""
    actions = environment.action_space
    if not isinstance(actions, spaces.Discrete):
        raise QcadeError(
            f"{name} has the action space {actions}, but qcade's agents need a Discrete space: "
            "wrap the environment, or choose another one"
        )
    shown = environment.observation_space
    if not isinstance(shown, spaces.Box) or shown.dtype != np.uint8 or not _is_image(shown.shape):
        raise QcadeError(
            f"{name} has the observation space {shown}, but qcade's agents need single uint8 "
            "images (HxW, HxWx1 or HxWx3), which qcade stacks itself: wrap the environment, or "
            "choose another one"
        )


def check_reset(name: str, shape: tuple[int, ...], returned: Any) -> Reset:
    """Check what `reset` returned; `shape` is the shape of the observation space."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise _broken(name, f"reset returned {_described(returned)}", f"{RESET}, {API}")
    frame, info = returned
    return Reset(_frame(name, shape, frame), _lives(name, info))


def check_step(name: str, shape: tuple[int, ...], returned: Any) -> Step:
    """Check what `step` returned; `shape` is the shape of the observation space."""
    if not isinstance(returned, tuple) or len(returned) != 5:
        raise _broken(name, f"step returned {_described(returned)}", f"{STEP}, {API}")
    frame, reward, terminated, truncated, info = returned
    return Step(
        _frame(name, shape, frame),
        _reward(name, reward),
        _flag(name, "terminated", terminated),
        _flag(name, "truncated", truncated),
        _lives(name, info),
    )


def _is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def _frame(name: str, shape: tuple[int, ...], frame: Any) -> UInt8Array:
    if isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.shape == shape:
        return frame
    raise _broken(
        name,
        f"the observation is {_described(frame)}",
        f"a uint8 array of shape {shape}, as its observation space declares",
    )


def _reward(name: str, reward: Any) -> float:
    number = reward
    # An array with one element counts as a number.
    if isinstance(number, np.ndarray) and number.size == 1:
        number = number.reshape(-1)[0]
    if isinstance(number, (int, float, np.number, np.bool_)) and not np.iscomplexobj(number):
        value = float(number)
        if math.isfinite(value) and abs(value) <= LARGEST_REWARD:
            return value
    raise _broken(
        name, f"the reward is {_described(reward)}", "a finite number that fits a float32"
    )


def _flag(name: str, which: str, flag: Any) -> bool:
    value = flag
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, (bool, np.bool_)) or (
        isinstance(value, (int, np.integer)) and value in (0, 1)
    ):
        return bool(value)
    raise _broken(name, f"{which} is {_described(flag)}", "True or False")


def _lives(name: str, info: Any) -> int:
    if not isinstance(info, dict):
        raise _broken(name, f"info is {_described(info)}", "a dict")
    lives = info.get("lives", 0)
    if isinstance(lives, np.ndarray) and lives.size == 1:
        lives = lives.reshape(-1)[0]
    if isinstance(lives, (int, float, np.number)) and math.isfinite(lives) and lives == int(lives):
        return int(lives)
    raise _broken(name, f'info["lives"] is {_described(lives)}', "a whole number, or no such entry")


def _broken(name: str, what: str, needed: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        f"{name} does not follow Gymnasium's interface: {what}; needed: {needed}"
    )


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 1:
        found = f"an array of {value.dtype} of shape {value.shape}"
        if value.dtype.kind in "iufb":
            found += f" with values from {value.min():g} to {value.max():g}"
        return found
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
