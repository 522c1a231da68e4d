"""Types shared by the subpackages.

Shapes: E environments, B batch, S stacked frames, H and W image, A actions, N values per action
(atoms, quantiles), T time, K steps ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

UInt8Array: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.float32]
DoubleArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
DrawPlan: TypeAlias = "tuple[Tensor | float, ...]"
"""Host tensors of fixed shapes, and numbers, from which the device draws transitions."""
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


class QcadeError(Exception):
    """An error that the user can fix; its text says what is wrong, where, and what to do."""

    exit_code = 2
    """Exit code of a command that ends with this error; 2 is bad input."""


class RunFailed(QcadeError):  # noqa: N818
    """A run cannot continue, although the user's input was right."""

    exit_code = 1


class NotFinite(RunFailed):
    """A loss, gradient or weight is not finite; the text says which and when."""


class EnvironmentFailed(RunFailed):
    """An environment failed; the text says how, and an exception that it raised is `__cause__`."""


LARGEST_WHOLE_NUMBER = 2**53
"""Up to here every JSON reader represents whole numbers exactly."""
LARGEST_FLOAT = 1e30
"""Larger than any useful value; its square is still finite in 64 bits."""
_C_INT = 2**31 - 1


class Range(NamedTuple):
    """Inclusive bounds of a number, checked whenever a recipe is made."""

    low: float | None = None
    """None: minus the largest allowed number of the field's type."""
    high: float | None = None
    """None: the largest allowed number of the field's type."""


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
"""As large as Python's JSON module can read."""
Pixels = Annotated[int, Range(1, 4_096)]
"""Height or width of an observation."""
CellPixels = Annotated[int, Range(1, 585)]
"""Height and width of one of the 7 x 7 cells of a Catch observation."""
ShiftPixels = Annotated[int, Range(0, 256)]
StackedFrames = Annotated[int, Range(1, 256)]
FrameSkip = Annotated[int, Range(1, 1_000)]
EmulatorCount = Annotated[int, Range(0, _C_INT)]
"""A number that an emulator stores in a C int."""
EmulatorPositive = Annotated[int, Range(1, _C_INT)]
EnvironmentCount = Annotated[int, Range(1, 4_096)]
ThreadCount = Annotated[int, Range(0, 1_024)]
BatchSize = Annotated[int, Range(1, 2**20)]
StepsAhead = Annotated[int, Range(1, 1_000)]
"""Number of decisions that a return or prediction looks ahead."""
RolloutDecisions = Annotated[int, Range(1, 2**16)]
Repetitions = Annotated[int, Range(1, 2**16)]
"""Number of consecutive repetitions."""
Units = Annotated[int, Range(1, 2**14)]
"""Width of a layer, or number of values that represent a distribution."""
Bins = Annotated[int, Range(2, 2**14)]
"""Number of parts of a range of returns."""
WidthFactor = Annotated[int, Range(1, 32)]
"""Factor of a number of channels."""
MapSide = Annotated[int, Range(1, 64)]
"""Height or width of a feature map."""


class TimeStep(NamedTuple):
    """What E environments return after one decision each."""

    frame: UInt8Array
    """uint8 [E, H, W]: the newest frame, never a stack."""
    reward: FloatArray
    """float32 [E]: game points, not clipped."""
    discount: FloatArray
    """float32 [E]: 0 if the game ended, or if a life was lost and the game counts that."""
    first: BoolArray
    """bool [E]: whether the frame opens an episode; the action was ignored and the reward is 0."""


class FilmedStep(NamedTuple):
    """What a human would have seen during one decision."""

    pictures: list[UInt8Array]
    """uint8 [height, width, 3] each, in chronological order."""
    reward: float
    """Game points, not clipped."""
    first: bool = False
    """Whether an episode opened instead: the action was ignored, and one picture shows it."""


class Future(NamedTuple):
    """The K steps after each transition's start, for losses that predict them."""

    actions: Tensor
    """int64 [B, K]: the first is `a_tm1`."""
    observations: Tensor
    """uint8 [B, K, S, H, W]: the observation after each action."""
    inside: Tensor
    """bool [B, K]: whether it is in the same episode, with no lost life in between."""


class Batch(NamedTuple):
    """n-step transitions, with gamma, n, terminations and lost lives already accounted for."""

    s_tm1: Tensor
    """uint8 [B, S, H, W]"""
    a_tm1: Tensor
    """int64 [B]"""
    r_t: Tensor
    """float32 [B]: discounted sum of rewards."""
    discount_t: Tensor
    """float32 [B]: gamma**k times the discounts on the way; 0 means no bootstrapping."""
    s_t: Tensor
    """uint8 [B, S, H, W]"""
    future: Future | None = None
    """The next K steps, if the algorithm needs them."""


class Minibatch(NamedTuple):
    """Decisions of a rollout and their returns."""

    observation: Tensor
    """uint8 [B, S, H, W]"""
    action: Tensor
    """int64 [B]"""
    returns: Tensor
    """float32 [B]"""


class Rollout(NamedTuple):
    """T consecutive decisions of E environments, with the network's Q-values."""

    q_values: Tensor
    """float32 [T + 1, E, A]: for the observations acted on, and the one after them."""
    a_tm1: Tensor
    """int64 [T, E]"""
    r_t: Tensor
    """float32 [T, E]"""
    discount_t: Tensor
    """float32 [T, E]: gamma; 0 means no bootstrapping."""
    is_transition: Tensor
    """bool [T, E]: false if the decision was ignored because an episode opened."""


class Progress(NamedTuple):
    """How far a run has come; schedules are functions of it."""

    decisions: int
    """Decisions made so far."""
    total_decisions: int
    """Decisions of the whole run."""

    @property
    def fraction(self) -> float:
        """From 0 at the start to 1 at the end."""
        return min(1.0, self.decisions / max(1, self.total_decisions))


class Loss(NamedTuple):
    """A loss per sample: the learner applies importance weights, so that none can be forgotten."""

    per_sample: Tensor
    """float32 [B]"""
    priority: Tensor
    """float32 [B], detached, not negative."""
    metrics: dict[str, Tensor]
    """0-d tensors by name, kept on the device until they are reported."""


class Sample(NamedTuple):
    """Sampled transitions: where they start in the ring, and their importance weights."""

    row: Tensor
    """int64 [B]: the rows at which they start."""
    environment: Tensor
    """int64 [B]"""
    importance: Tensor | None = None
    """float32 [B]: importance weights; None if all samples count equally."""
