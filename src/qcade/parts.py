"""The interfaces of replaceable parts; implement one in your own file.

Shapes are named as in types.py.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from qcade.types import (
    JSON,
    Batch,
    DoubleArray,
    DrawPlan,
    FilmedStep,
    IntArray,
    Loss,
    Minibatch,
    Progress,
    Rollout,
    Sample,
    TimeStep,
    UInt8Array,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class HasQValues(Protocol):
    """What every network returns, possibly with other fields."""

    @property
    def q_values(self) -> Tensor:
        """float32 [B, A]"""
        ...


class Environments(Protocol):
    """E environments that step together and reset themselves one step after an episode ends."""

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """One name per action."""
        ...

    def reset(self) -> TimeStep:
        """Open one episode in every environment; `first` is true for all."""
        ...

    def send(self, actions: IntArray) -> None:
        """Start one decision in every environment, int64 [E]; return at once."""
        ...

    def recv(self) -> TimeStep:
        """Wait for the decisions that `send` started."""
        ...

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Open episodes in some environments, each determined by its seed alone.

        Takes int64 [n] and [n]; returns the first frames, uint8 [n, H, W]. Call it between `recv`
        and `send`.
        """
        ...

    def close(self) -> None:
        """Free the emulators."""
        ...


class FilmedEnvironments(Environments, Protocol):
    """One environment that can be filmed while it is played."""

    def picture(self) -> UInt8Array:
        """What a human sees now: uint8 [height, width, 3]."""
        ...


def always(step: int) -> bool:
    """Show every step of a film."""
    return True


class Game(abc.ABC):
    """A game and its settings: a frozen dataclass that opens environments."""

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
        """Emulator frames per decision (the mean, if it is random)."""

    @abc.abstractmethod
    def open(self, environments: int, seed: int, threads: int = 0) -> Environments:
        """Start E environments with randomness from `seed`; 0 threads means all cores."""

    def open_unseeded(self, environments: int, threads: int = 0) -> Environments:
        """Start E environments that will be reseeded before they are used."""
        return self.open(environments, 0, threads)

    @property
    @abc.abstractmethod
    def is_replayable(self) -> bool:
        """Whether seeds and actions recreate every frame exactly."""

    @property
    @abc.abstractmethod
    def pictures_per_second(self) -> float:
        """Pictures per second of `film` at the game's own speed."""

    @abc.abstractmethod
    def film(
        self,
        emulator_seed: int,
        actions: Iterable[int],
        is_shown: Callable[[int], bool] = always,
    ) -> Iterator[FilmedStep]:
        """Recreate one environment's play from a seeded reset, in full-size colour.

        `actions` are all actions sent since then, including those that were ignored because an
        episode opened. Steps are numbered from 0; steps that are not shown have no pictures, which
        is faster.
        """

    def open_filmed(self, seed: int) -> FilmedEnvironments | None:
        """Start the environment of `open(1, seed)` with rendering; None if `film` works.

        For games that cannot be recreated, and so can only be filmed while they are played.
        """
        return None

    @property
    def is_small(self) -> bool:
        """Whether it is learned in minutes, so that recipes scale themselves down for it."""
        return False

    def resized(self, pixels: int) -> Game:
        """The same game with observations of about `pixels` x `pixels`, if it has that setting."""
        return self

    def capped(self) -> Game:
        """The same game with a limit on episodes, if it has none."""
        return self

    @abc.abstractmethod
    def protocol(self) -> dict[str, JSON]:
        """Everything that scores depend on, including versions."""


class Torso(abc.ABC):
    """The layers from pixels to feature maps: a frozen dataclass that builds a module."""

    @abc.abstractmethod
    def build(self, stack: int, height: int, width: int) -> nn.Module:
        """Build the module: float [B, S, H, W] in [0, 1] -> float [B, C, h, w]."""


FeatureShape: TypeAlias = tuple[int, ...]
"""Shape of a torso's features without the batch dimension: (C, h, w)."""


class Streams(abc.ABC):
    """The layers between features and the values of actions: plain or dueling."""

    @abc.abstractmethod
    def build(self, features: int, actions: int, values: int) -> nn.Module:
        """Build the module: (float [B, features], generator) -> float [B, A, N], N = `values`.

        The generator draws the noise of noisy layers; with None there is no noise.
        """


class AnyAlgorithm(abc.ABC):
    """A head and a loss: a final frozen dataclass that depends on no other algorithm.

    It is a `ReplayAlgorithm` or a `RolloutAlgorithm`.
    """

    @abc.abstractmethod
    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the module: (float [B, prod(features)], generator) -> a named tuple.

        The tuple has `q_values` [B, A] and anything else that the loss needs. Networks are called
        as `online(observations, generator)`; the generator, on the networks' device, generates
        their random numbers, such as noise. With None there is no randomness.
        """


class ReplayAlgorithm(AnyAlgorithm):
    """Learns from transitions of a replay memory, with a target network."""

    @property
    def future_steps(self) -> int:
        """Steps K of `Batch.future` that the loss needs; 0 for none."""
        return 0

    @abc.abstractmethod
    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the loss of a batch; no gradient flows through `target`."""


class RolloutAlgorithm(AnyAlgorithm):
    """Learns from rollouts: regresses to returns that are computed once per rollout."""

    @abc.abstractmethod
    def compute_returns(self, rollout: Rollout) -> Tensor:
        """Compute the return of every decision: float32 [T, E], detached."""

    @abc.abstractmethod
    def loss(
        self, online: nn.Module, minibatch: Minibatch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the loss of a minibatch of decisions and their returns."""


# The old name (up to 8f59885), for custom parts.
Algorithm = ReplayAlgorithm


class Exploration(abc.ABC):
    """A schedule of the probability of random actions, as a pure function of progress."""

    @abc.abstractmethod
    def epsilons(self, progress: Progress, environments: int) -> DoubleArray:
        """Probability of a random action in each environment, float64 [E]."""


class OptimizerSpec(abc.ABC):
    """A frozen dataclass that builds a PyTorch optimizer."""

    max_gradient_norm: float | None

    @abc.abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimizer for these parameters."""

    def learning_rate_at(self, progress: Progress) -> float | None:
        """The learning rate at this point of the run; None if it never changes."""
        return None


class TargetUpdate(abc.ABC):
    """How the target network follows the online network."""

    @abc.abstractmethod
    def make(self, online: nn.Module) -> nn.Module:
        """Make the target network, initially equal to `online`."""

    @abc.abstractmethod
    def follow(self, target: nn.Module, online: nn.Module, updates: int) -> None:
        """Move `target` towards `online` if that is due after `updates` updates."""

    def is_due(self, updates: int) -> bool:
        """Whether `follow` does anything after `updates` updates."""
        return True


# A dataclass only so that the command line offers the fields of a part that may also be None.
@dataclass(frozen=True)
class Resets(abc.ABC):
    """When and how far weights are reset to fresh ones, against the loss of plasticity."""

    @abc.abstractmethod
    def is_due(self, updates: int) -> bool:
        """Whether a reset is due after `updates` updates."""

    @abc.abstractmethod
    def apply(self, network: nn.Module, fresh: nn.Module) -> list[nn.Parameter]:
        """Reset a network with a fresh one's weights; return the parameters that were replaced.

        The learner clears the optimizer's state of those.
        """


class Sampling(abc.ABC):
    """How transitions are sampled: a frozen dataclass that builds a sampler."""

    @property
    def bytes_per_transition(self) -> int:
        """Bytes per transition that the sampler needs in memory and in a checkpoint."""
        return 0

    @abc.abstractmethod
    def build(self, rows: int, environments: int, device: torch.device, seed: int) -> Sampler:
        """Build the sampler for a ring of this size."""


class Ring(Protocol):
    """The interface of the frame ring for samplers."""

    @property
    def environments(self) -> int:
        """Number E of environments."""
        ...

    @property
    def device(self) -> torch.device:
        """The device of its tensors."""
        ...

    def startable_rows(self, n_step: int) -> tuple[int, int]:
        """Rows [low, high) at which n-step transitions may start."""
        ...

    def is_start(self, row: Tensor, environment: Tensor) -> Tensor:
        """Whether a transition starts there: int64 [B] and [B] -> bool [B].

        The result is on the same device, host or the ring's, as the arguments.
        """
        ...


class Sampler(Protocol):
    """Draws transitions from a ring, in proportion to their priorities if it keeps any.

    `plan` runs on the host. `draw` and `update_priorities` run on the ring's device, with the same
    operations each time and without waiting, so that a CUDA graph can capture them.
    """

    def plan(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> DrawPlan:
        """Plan to draw B transitions of up to n steps, including from new rows."""
        ...

    def draw(self, plan: DrawPlan) -> Sample:
        """Draw what was planned; in a graph the plan holds device tensors, numbers being 0-d."""
        ...

    def update_priorities(self, sample: Sample, priority: Tensor) -> None:
        """Set the priorities of a sample, float32 [B], that the loss returned."""
        ...

    def mutable_tensors(self) -> list[Tensor]:
        """The tensors that `draw` and `update_priorities` write to, always the same ones."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next draw depends on, other than the ring."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned."""
        ...


OptimizerPart, TargetNetwork = OptimizerSpec, TargetUpdate
"""The old names (up to 8f59885), for custom parts."""
