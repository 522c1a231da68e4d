"""The types that rooms exchange, and the interfaces that make parts replaceable.

Shape legend: E environments, B batch, S stacked frames, H W image, A actions,
N values an action (atoms, quantiles), T time.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

UInt8Array: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.float32]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


class QcadeError(Exception):
    """Something a person can mend: its text says what is wrong, where, and what to do."""


class Range(NamedTuple):
    """Inclusive bounds of a recipe field, checked wherever a recipe is made."""

    low: float
    high: float = float("inf")


Count = Annotated[int, Range(0)]
Positive = Annotated[int, Range(1)]
PositiveFloat = Annotated[float, Range(1e-12)]
Probability = Annotated[float, Range(0.0, 1.0)]


class TimeStep(NamedTuple):
    """What arrives together from E environments after one decision each."""

    frame: UInt8Array
    """uint8 [E, H, W]: the newest frame, never a stack."""
    reward: FloatArray
    """float32 [E]: game points, not clipped."""
    discount: FloatArray
    """float32 [E]: 0 where the game ended, or a life was lost and the game part counts that."""
    first: BoolArray
    """bool [E]: this frame opens an episode; its action was ignored and its reward is 0."""


class FilmedStep(NamedTuple):
    """What a person would have seen during one decision."""

    pictures: list[UInt8Array]
    """uint8 [height, width, 3] each, in the order of time."""
    reward: float
    """Game points, not clipped."""
    first: bool = False
    """Whether an episode opened instead: the action was ignored, one picture shows the opening."""


class Batch(NamedTuple):
    """n-step transitions: gamma, n, termination and life loss are already in them."""

    s_tm1: Tensor
    """uint8 [B, S, H, W]"""
    a_tm1: Tensor
    """int64 [B]"""
    r_t: Tensor
    """float32 [B]: discounted sum of rewards."""
    discount_t: Tensor
    """float32 [B]: gamma**k times the discounts on the way; 0 if there is nothing to bootstrap."""
    s_t: Tensor
    """uint8 [B, S, H, W]"""


class Loss(NamedTuple):
    """A loss before weighting, so that importance weights cannot be forgotten by an algorithm."""

    per_sample: Tensor
    """float32 [B]"""
    priority: Tensor
    """float32 [B], detached, not negative."""
    metrics: dict[str, Tensor]
    """0-d tensors, left on the device until somebody reads them."""


class HasQValues(Protocol):
    """What every network returns, whatever else it carries."""

    @property
    def q_values(self) -> Tensor:
        """float32 [B, A]"""
        ...


class Environments(Protocol):
    """E environments that step together and reset themselves one call after an end."""

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """One name for each of the A actions."""
        ...

    def reset(self) -> TimeStep:
        """Open one episode in every environment; all of `first` is true."""
        ...

    def send(self, actions: IntArray) -> None:
        """Start one decision in every environment; int64 [E]; returns at once."""
        ...

    def recv(self) -> TimeStep:
        """Wait for the decisions that `send` started."""
        ...

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Open an episode that follows from its seed alone in some environments.

        Takes int64 [n] and [n]; returns their first frames, uint8 [n, H, W]. To be called between
        `recv` and `send`.
        """
        ...

    def close(self) -> None:
        """Free the emulators."""
        ...


def always(step: int) -> bool:
    """Show every step of a film."""
    return True


class Game(abc.ABC):
    """What is played and how it is shown: a frozen dataclass that opens environments."""

    @property
    @abc.abstractmethod
    def slug(self) -> str:
        """The game's name in snake_case, as in score tables and run names."""

    @property
    @abc.abstractmethod
    def frame_shape(self) -> tuple[int, int]:
        """H and W of an observation."""

    @property
    @abc.abstractmethod
    def frames_per_decision(self) -> int:
        """Emulator frames that one decision lasts (the mean, where it is random)."""

    @abc.abstractmethod
    def open(self, environments: int, seed: int, threads: int = 0) -> Environments:
        """Start E environments whose randomness follows from `seed`; 0 threads means all cores."""

    @property
    @abc.abstractmethod
    def is_replayable(self) -> bool:
        """Whether seeds and actions bring back every frame exactly."""

    @property
    @abc.abstractmethod
    def pictures_per_second(self) -> float:
        """How fast `film` shows the game at its own pace."""

    @abc.abstractmethod
    def film(
        self,
        emulator_seed: int,
        actions: Iterable[int],
        is_shown: Callable[[int], bool] = always,
    ) -> Iterator[FilmedStep]:
        """Play one environment again from a seeded reset on, in full-size colour.

        `actions` are all that were sent from then on, those that were ignored because an episode
        opened included. Steps are numbered from 0; those not shown come without pictures, sooner.
        """

    @abc.abstractmethod
    def protocol(self) -> dict[str, JSON]:
        """Everything about play that a score depends on, versions included."""


class Torso(abc.ABC):
    """From pixels to features: a frozen dataclass that builds a module."""

    @abc.abstractmethod
    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Make a module from float [B, S, H, W] in [0, 1] to float [B, features]."""


class Streams(abc.ABC):
    """The layers between features and the values of actions: plain or dueling."""

    @abc.abstractmethod
    def build(self, features: int, actions: int, values: int) -> nn.Module:
        """Make a module from float [B, features] to float [B, A, N], N = `values`."""


class Algorithm(abc.ABC):
    """A head and a loss: a frozen dataclass, final, that knows no other algorithm."""

    @abc.abstractmethod
    def head(self, features: int, actions: int) -> nn.Module:
        """Make a module from float [B, features] to a named tuple with `q_values` [B, A]."""

    @abc.abstractmethod
    def loss(self, online: nn.Module, target: nn.Module, batch: Batch) -> Loss:
        """Compute the loss of a batch; no gradient flows through `target`."""


class Exploration(abc.ABC):
    """How often an action is drawn at random, as a pure function of time."""

    @abc.abstractmethod
    def epsilon(self, decisions: int) -> float:
        """Probability of a random action after that many decisions of the whole run."""


class OptimizerPart(abc.ABC):
    """A frozen dataclass that makes a torch optimizer."""

    max_gradient_norm: float | None

    @abc.abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""


class TargetNetwork(abc.ABC):
    """How the target network follows the online network."""

    @abc.abstractmethod
    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, equal to `online` at first."""

    @abc.abstractmethod
    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Bring `target` up to date after that many updates."""
