"""The types that rooms exchange.

Shape legend: E environments, B batch, S stacked frames, H W image, A actions,
N values an action (atoms, quantiles), T time.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

UInt8Array: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.float32]
DoubleArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
Prepared: TypeAlias = tuple[Any, ...]
"""Host tensors of fixed shapes, and numbers, that a device draws transitions with."""
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
NotNegative = Annotated[float, Range(0.0)]
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


class Future(NamedTuple):
    """What followed each transition's start, step by step, for losses that predict it."""

    actions: Tensor
    """int64 [B, K]: the first is `a_tm1`."""
    observations: Tensor
    """uint8 [B, K, S, H, W]: where each action led."""
    inside: Tensor
    """bool [B, K]: whether that is still the same episode, with no lost life before it."""


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
    future: Future | None = None
    """The next K steps, where the algorithm asks for them."""


class Rollout(NamedTuple):
    """T decisions of E environments in a row, and what the network says of them."""

    q_values: Tensor
    """float32 [T + 1, E, A]: of the observations acted on, and of the last one."""
    a_tm1: Tensor
    """int64 [T, E]"""
    r_t: Tensor
    """float32 [T, E]"""
    discount_t: Tensor
    """float32 [T, E]: gamma, or 0 if there is nothing to bootstrap."""
    is_transition: Tensor
    """bool [T, E]: false where the decision was ignored because an episode opened."""


class Progress(NamedTuple):
    """How far a run is: what schedules are functions of."""

    decisions: int
    """Decisions of the whole run so far."""
    total_decisions: int
    """Decisions of the whole run at its end."""

    @property
    def fraction(self) -> float:
        """From 0 at the start to 1 at the end."""
        return min(1.0, self.decisions / max(1, self.total_decisions))


class Loss(NamedTuple):
    """A loss before weighting, so that importance weights cannot be forgotten by an algorithm."""

    per_sample: Tensor
    """float32 [B]"""
    priority: Tensor
    """float32 [B], detached, not negative."""
    metrics: dict[str, Tensor]
    """0-d tensors, left on the device until somebody reads them."""


class Drawn(NamedTuple):
    """Transitions that were drawn from the ring."""

    row: Tensor
    """int64 [B]: where they start."""
    environment: Tensor
    """int64 [B]"""
    importance: Tensor | None = None
    """float32 [B]: weights that make up for what was drawn more often; None for all alike."""
