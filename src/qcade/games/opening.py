"""Opening games: the only place that does, so that all their errors are `EnvironmentFailed`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcade.games.contract import LARGEST_REWARD, raised
from qcade.parts import Environments, Game
from qcade.types import EnvironmentFailed, IntArray, QcadeError, TimeStep, UInt8Array

Result = TypeVar("Result")

Placement: TypeAlias = Callable[[Game, int, int | None, int], Environments]
"""Starts E environments of a game with a seed on some threads; `open_game` does so in-process."""

_OWN_PACKAGE = __name__.rpartition(".")[0]


def open_game(game: Game, environments: int, seed: int | None, threads: int = 0) -> Environments:
    """Start E environments of a game, unseeded if `seed` is None; see `Game.open`.

    For third-party games every row is checked too: its shapes, and that rewards and discounts are
    valid numbers.
    """
    name = game.slug

    def start() -> Environments:
        if seed is None:
            return game.open_unseeded(environments, threads)
        return game.open(environments, seed, threads)

    opened = _translated(name, "open", start)
    shape = None if type(game).__module__.startswith(_OWN_PACKAGE) else game.frame_shape
    return GuardedEnvironments(name, opened, environments, shape)


def without_life_losses(game: Game) -> Game:
    """The same game with discount 0 only where the game ends; play itself does not change."""
    assert dataclasses.is_dataclass(game)
    if any(item.name == "life_loss_terminal" for item in dataclasses.fields(game)):
        return dataclasses.replace(game, life_loss_terminal=False)
    return game


def try_out(environments: Environments, count: int) -> TimeStep:
    """Make one decision in E environments; EnvironmentFailed if they cannot be played."""
    environments.reset()
    environments.send(np.zeros(count, np.int64))
    return environments.recv()


class GuardedEnvironments:
    """Environments whose exceptions are all `EnvironmentFailed`; see `Environments`."""

    def __init__(
        self, name: str, environments: Environments, count: int, shape: tuple[int, int] | None
    ) -> None:
        """Guard `count` environments; `shape`, if given, is the H and W that rows must have."""
        self._name, self._environments, self._count, self._shape = name, environments, count, shape
        self._failure: EnvironmentFailed | None = None
        self._is_closed = False

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """One name for each of the A actions."""
        return self._environments.action_meanings

    def reset(self) -> TimeStep:
        """Open one episode in every environment; `first` is true for all."""
        return self._checked(_translated(self._name, "reset", self._environments.reset))

    def send(self, actions: IntArray) -> None:
        """Start one decision in every environment; `recv` raises any error of this call.

        So a failure always appears after the updates of its decision have been made.
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
        """Open episodes in some environments, each determined by its seed alone."""
        return _translated(
            self._name, "reseed", lambda: self._environments.reseed(environments, seeds)
        )

    def close(self) -> None:
        """Free the emulators; closing twice is harmless."""
        if not self._is_closed:
            self._is_closed = True
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
