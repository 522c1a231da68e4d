"""The interfaces that make parts replaceable: implement one in a file of your own.

Shapes are named as in types.py.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn

from qcade.types import (
    JSON,
    Batch,
    DoubleArray,
    Drawn,
    FilmedStep,
    IntArray,
    Loss,
    Prepared,
    Progress,
    Rollout,
    TimeStep,
    UInt8Array,
)


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


class FilmedEnvironments(Environments, Protocol):
    """One environment that can be looked at while it is played."""

    def picture(self) -> UInt8Array:
        """What a person sees now: uint8 [height, width, 3]."""
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

    def open_filmed(self, seed: int) -> FilmedEnvironments | None:
        """Start the first environment of `open(1, seed)`, rendering; None where `film` is enough.

        For games that cannot be replayed, which can only be filmed while they are played.
        """
        return None

    def capped(self) -> Game:
        """The same game with an end to every episode, where nothing else ends them."""
        return self

    @abc.abstractmethod
    def protocol(self) -> dict[str, JSON]:
        """Everything about play that a score depends on, versions included."""


class Torso(abc.ABC):
    """From pixels to feature maps: a frozen dataclass that builds a module."""

    @abc.abstractmethod
    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Make a module from float [B, S, H, W] in [0, 1] to float maps [B, C, h, w]."""


FeatureShape: TypeAlias = tuple[int, ...]
"""Shape of a torso's features without B: (C, h, w)."""


class Streams(abc.ABC):
    """The layers between features and the values of actions: plain or dueling."""

    @abc.abstractmethod
    def build(self, features: int, actions: int, values: int) -> nn.Module:
        """Make a module from (float [B, features], generator) to float [B, A, N], N = `values`.

        The generator draws the noise of noisy layers; None leaves the noise out.
        """


class Algorithm(abc.ABC):
    """A head and a loss: a frozen dataclass, final, that knows no other algorithm."""

    @property
    def future_steps(self) -> int:
        """Steps K of `Batch.future` that the loss needs; 0 for none."""
        return 0

    @abc.abstractmethod
    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Make a module from (float [B, prod(features)], generator) to a named tuple.

        The tuple has `q_values` [B, A] and whatever else the loss needs.
        """

    @abc.abstractmethod
    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the loss of a batch; no gradient flows through `target`.

        Networks are called as `online(observations, generator)`; the generator, on the networks'
        device, draws whatever is random in them. None leaves the randomness out.
        """


class OnPolicyAlgorithm(Algorithm):
    """An algorithm for rollouts: its goals come from whole rollouts, its loss regresses to them.

    The batches of its loss hold the goals in `r_t`, and a `discount_t` of 0.
    """

    @abc.abstractmethod
    def goals(self, rollout: Rollout) -> Tensor:
        """Make the goal of every decision: float32 [T, E]."""


class Exploration(abc.ABC):
    """How often an action is drawn at random, as a pure function of time."""

    @abc.abstractmethod
    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""


class OptimizerPart(abc.ABC):
    """A frozen dataclass that makes a torch optimizer."""

    max_gradient_norm: float | None

    @abc.abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""

    def learning_rate_at(self, progress: Progress) -> float | None:
        """The step size at some point of the run; None leaves it as it was built."""
        return None


class TargetNetwork(abc.ABC):
    """How the target network follows the online network."""

    @abc.abstractmethod
    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, equal to `online` at first."""

    @abc.abstractmethod
    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Bring `target` up to date after that many updates."""

    def is_due(self, updates: int) -> bool:
        """Whether `follow` does anything after that many updates."""
        return True


# A dataclass only so that the command line offers the fields of a part that may also be None.
@dataclass(frozen=True)
class Resets(abc.ABC):
    """When and how far weights are taken back to fresh ones, against the loss of plasticity."""

    @abc.abstractmethod
    def is_due(self, updates: int) -> bool:
        """Whether a reset follows this many updates."""

    @abc.abstractmethod
    def apply(self, network: nn.Module, fresh: nn.Module) -> list[nn.Parameter]:
        """Reset a network with the weights of a fresh one; return the parameters that are new.

        The learner forgets the optimizer's memory of those.
        """


class Sampling(abc.ABC):
    """Which transitions an update sees: a frozen dataclass that makes a sampler."""

    @property
    def bytes_per_transition(self) -> int:
        """Memory, and room in a checkpoint, that the sampler takes for each transition."""
        return 0

    @abc.abstractmethod
    def build(self, rows: int, environments: int, device: torch.device, seed: int) -> Sampler:
        """Make the sampler of a ring of so many rows."""


class Ring(Protocol):
    """What a sampler asks of the frame ring."""

    @property
    def environments(self) -> int:
        """E"""
        ...

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        ...

    def startable_rows(self, n_step: int) -> tuple[int, int]:
        """Rows [low, high) at which transitions of n steps may start."""
        ...

    def is_start(self, row: Tensor, environment: Tensor) -> Tensor:
        """Whether a transition starts there, int64 [B] and [B] -> bool [B].

        Takes host tensors or tensors on the device, and answers in kind.
        """
        ...


class Sampler(Protocol):
    """Draws transitions from a ring, and is told what was learned from them.

    The host prepares a draw; what draws and learns runs where the ring is, the same way each time,
    and waits for nothing, so that a GPU can do it as a part of a captured graph.
    """

    def prepare(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> Prepared:
        """Make ready to draw B transitions of up to n steps: host tensors and numbers."""
        ...

    def draw(self, prepared: Prepared) -> Drawn:
        """Draw what was prepared; its tensors may be on the device, its numbers 0-d there."""
        ...

    def learned(self, drawn: Drawn, priority: Tensor) -> None:
        """Take in the priorities, float32 [B], that the loss gave to what was drawn."""
        ...

    def written(self) -> list[Tensor]:
        """The tensors that `draw` and `learned` write into, always the same ones."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next draw depends on, beside the ring."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        ...
