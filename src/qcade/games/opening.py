"""The one door through which games are opened: whatever they raise is an `EnvironmentFailed`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcade.games.contract import LARGEST_REWARD, raised
from qcade.parts import Environments, Game
from qcade.types import EnvironmentFailed, IntArray, QcadeError, TimeStep, UInt8Array

Result = TypeVar("Result")

_OUR_ROOM = __name__.rpartition(".")[0]


def open_game(game: Game, environments: int, seed: int, threads: int = 0) -> Environments:
    """Start E environments of a game; see `Game.open`.

    The rows of games that are no part of qcade are checked as well: their shapes, and that rewards
    and discounts are numbers that can be learned from.
    """
    name = game.slug
    opened = _translated(name, "open", lambda: game.open(environments, seed, threads))
    shape = None if type(game).__module__.startswith(_OUR_ROOM) else game.frame_shape
    return GuardedEnvironments(name, opened, environments, shape)


def without_life_losses(game: Game) -> Game:
    """The same game, whose discount is 0 only where it really ends; play does not depend on it."""
    assert dataclasses.is_dataclass(game)
    if any(item.name == "life_loss_terminal" for item in dataclasses.fields(game)):
        return dataclasses.replace(game, life_loss_terminal=False)
    return game


def try_out(game: Game) -> None:
    """Open a game, make one decision, and close it: EnvironmentFailed if it cannot be played."""
    environments = open_game(game, 1, 0, 1)
    try:
        environments.reset()
        environments.send(np.zeros(1, np.int64))
        environments.recv()
    finally:
        environments.close()


class GuardedEnvironments:
    """Environments whose exceptions are all of one kind; see `Environments`."""

    def __init__(
        self, name: str, environments: Environments, count: int, shape: tuple[int, int] | None
    ) -> None:
        """Guard `count` environments; `shape` is H and W of rows to check, None for none."""
        self._name, self._environments, self._count, self._shape = name, environments, count, shape
        self._failure: EnvironmentFailed | None = None

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """One name for each of the A actions."""
        return self._environments.action_meanings

    def reset(self) -> TimeStep:
        """Open one episode in every environment; all of `first` is true."""
        return self._checked(_translated(self._name, "reset", self._environments.reset))

    def send(self, actions: IntArray) -> None:
        """Start one decision in every environment; what that raises, `recv` does.

        So a failure always comes when the updates of its decision are made.
        """
        try:
            _translated(self._name, "send", lambda: self._environments.send(actions))
        except EnvironmentFailed as failure:
            self._failure = failure

    def recv(self) -> TimeStep:
        """Wait for the decisions that `send` started."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return self._checked(_translated(self._name, "recv", self._environments.recv))

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Open an episode that follows from its seed alone in some environments."""
        return _translated(
            self._name, "reseed", lambda: self._environments.reseed(environments, seeds)
        )

    def close(self) -> None:
        """Free the emulators."""
        _translated(self._name, "close", self._environments.close)

    def _checked(self, step: TimeStep) -> TimeStep:
        if self._shape is not None:
            _check_row(self._name, step, (self._count, *self._shape))
        return step


def _translated(name: str, act: str, call: Callable[[], Result]) -> Result:
    try:
        return call()
    except QcadeError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(name, act, error) from error


def _check_row(name: str, step: TimeStep, shape: tuple[int, int, int]) -> None:
    """Check a row of E environments: frames uint8 [E, H, W], numbers and flags [E]."""
    frame, reward, discount, first = (np.asarray(part) for part in step)
    if frame.dtype != np.uint8 or frame.shape != shape:
        found, needed = f"frames are {frame.dtype} {frame.shape}", f"uint8 {shape}"
    elif not _are_numbers(reward, shape[0]):
        found, needed = f"rewards are {reward.tolist()}", f"{shape[0]} finite numbers"
    elif not _are_numbers(discount, shape[0]) or discount.min() < 0 or discount.max() > 1:
        found, needed = f"discounts are {discount.tolist()}", f"{shape[0]} numbers from 0 to 1"
    elif first.shape != shape[:1] or first.dtype != np.bool_:
        found, needed = f"`first` is {first.tolist()}", f"{shape[0]} booleans"
    else:
        return
    raise EnvironmentFailed(f"{name} returned a row that cannot be used: {found}; needed: {needed}")


def _are_numbers(values: NDArray[Any], count: int) -> bool:
    is_numeric = values.dtype.kind in "fiub" and values.shape == (count,)
    return is_numeric and bool((np.abs(values) <= LARGEST_REWARD).all())
