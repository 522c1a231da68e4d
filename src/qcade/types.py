"""The types that rooms exchange.

Shape legend: E environments, B batch, S stacked frames, H W image, A actions,
N values an action (atoms, quantiles), T time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
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

    exit_code = 2
    """Of the command that ends with it: 2 is bad input."""


class RunFailed(QcadeError):  # noqa: N818
    """A run that cannot continue through no fault of what was typed."""

    exit_code = 1


class NotFinite(RunFailed):
    """A loss, gradient or weight that is not a finite number; the text says which and when."""


class EnvironmentFailed(RunFailed):
    """An environment raised an exception, which is the `__cause__`; the text names both."""


LARGEST_WHOLE_NUMBER = 2**53
"""Up to here every whole number is exact in JSON, whatever reads it."""
LARGEST_FLOAT = 1e30
"""Far beyond any use, and its square is still finite in 64 bits."""
_C_INT = 2**31 - 1


class Range(NamedTuple):
    """Inclusive bounds of a number, checked wherever a recipe is made."""

    low: float | None = None
    """None: minus the largest number of the field's type."""
    high: float | None = None
    """None: the largest number of the field's type."""


class Above(NamedTuple):
    """A number that must be greater than another field of the same part."""

    field: str
    """Name of the other field."""


Count = Annotated[int, Range(0)]
Positive = Annotated[int, Range(1)]
PositiveFloat = Annotated[float, Range(1e-12)]
NotNegative = Annotated[float, Range(0.0)]
NotPositive = Annotated[float, Range(high=0.0)]
Probability = Annotated[float, Range(0.0, 1.0)]

Seed = Annotated[int, Range(0, 10**4_000)]
"""As large as JSON in Python takes whole numbers."""
Pixels = Annotated[int, Range(1, 4_096)]
"""A side of an observation."""
CellPixels = Annotated[int, Range(1, 585)]
"""A side of one of the 7 x 7 cells that an observation of Catch is made of."""
ShiftPixels = Annotated[int, Range(0, 256)]
StackedFrames = Annotated[int, Range(1, 256)]
FrameSkip = Annotated[int, Range(1, 1_000)]
EmulatorCount = Annotated[int, Range(0, _C_INT)]
"""What an emulator counts in a C int."""
EmulatorPositive = Annotated[int, Range(1, _C_INT)]
EnvironmentCount = Annotated[int, Range(1, 4_096)]
ThreadCount = Annotated[int, Range(0, 1_024)]
BatchSize = Annotated[int, Range(1, 2**20)]
StepsAhead = Annotated[int, Range(1, 1_000)]
"""Decisions that a return or a prediction looks ahead."""
RolloutDecisions = Annotated[int, Range(1, 2**16)]
Repetitions = Annotated[int, Range(1, 2**16)]
"""How often the same thing is done before anything else is."""
Units = Annotated[int, Range(1, 2**14)]
"""Width of a layer, or how many values stand for one distribution."""
Bins = Annotated[int, Range(2, 2**14)]
"""Parts of a range of returns."""
WidthFactor = Annotated[int, Range(1, 32)]
"""What a number of channels is multiplied by."""
MapSide = Annotated[int, Range(1, 64)]
"""A side of a feature map."""


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
