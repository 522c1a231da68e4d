"""A recipe says everything that decides a run: frozen dataclasses, checked before they are used."""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from qcade.checks import check_part
from qcade.parts import (
    Algorithm,
    Exploration,
    Game,
    OnPolicyAlgorithm,
    OptimizerPart,
    Resets,
    Sampling,
    TargetNetwork,
    Torso,
)
from qcade.replay.samplers import Uniform
from qcade.types import (
    BatchSize,
    Count,
    EnvironmentCount,
    Positive,
    Probability,
    Progress,
    QcadeError,
    Repetitions,
    RolloutDecisions,
    Seed,
    StackedFrames,
    StepsAhead,
    ThreadCount,
)


@dataclass(frozen=True)
class Horizon:
    """How far ahead returns look, and how that changes after every reset of the network.

    From `start_*` to the recipe's `replay.n_step` and `replay.gamma`, exponentially in updates, as
    in BBF (Schwarzer et al. 2023).
    """

    start_n_step: StepsAhead = 10
    """Rewards summed before bootstrapping, right after a reset."""
    start_gamma: Probability = 0.97
    """Discount of one decision, right after a reset."""
    anneal_updates: Positive = 10_000
    """Updates until the recipe's own figures are reached."""


@dataclass(frozen=True)
class Replay:
    """What is remembered and how transitions are made of it."""

    capacity: Positive = 1_000_000
    """Frames kept, over all environments; 84x84 frames take 7,056 bytes each, raw."""
    storage: Literal["auto", "raw", "compressed"] = "auto"
    """How frames lie: raw where the updates run, or compressed in host memory, some ten times
    smaller and a little slower; auto is raw if that fits. No bit of a run on a processor depends on
    it; a GPU rounds otherwise, since compressed frames keep it from using graphs."""
    n_step: StepsAhead = 1
    """Rewards summed before bootstrapping."""
    gamma: Probability = 0.99
    """Discount of one decision."""
    clip_rewards: bool = True
    """Learn from rewards clipped to [-1, 1]; reported scores never are."""
    sampling: Sampling = field(default_factory=Uniform)
    """Which transitions an update sees."""
    horizon: Horizon | None = None
    """How n and gamma change after resets; None keeps them."""

    @property
    def most_n_step(self) -> int:
        """The largest n there ever is."""
        return self.n_step if self.horizon is None else max(self.n_step, self.horizon.start_n_step)


@dataclass(frozen=True)
class Updates:
    """When the learner updates, and on how much."""

    start_frames: Count = 80_000
    """Emulator frames of experience that must be in memory before the first update."""
    period_decisions: Positive = 4
    """Decisions between updates: `per_period` updates for every so many."""
    per_period: Repetitions = 1
    """Updates at the end of each period; more than 1 where decisions are scarce."""
    batch_size: BatchSize = 32
    """Transitions an update."""


@dataclass(frozen=True)
class Rollouts:
    """What an on-policy learner plays before it learns, and how often it goes over that."""

    decisions: RolloutDecisions = 32
    """Decisions of each environment between two rounds of learning."""
    epochs: Repetitions = 2
    """Times that every decision of the rollouts is learned from."""
    minibatches: Positive = 32
    """Updates an epoch."""
    overlap: bool = False
    """Whether a rollout is learned from while the next one is played, a share at every decision,
    instead of all at once before it: nothing waits, and the agent plays a rollout behind."""
    gamma: Probability = 0.99
    """Discount of one decision."""
    clip_rewards: bool = True
    """Learn from rewards clipped to [-1, 1]; reported scores never are."""


@dataclass(frozen=True)
class Checkpoints:
    """When a checkpoint is due, besides the end and an interrupt."""

    period_frames: Count = 400_000
    """Emulator frames between checkpoints; 0 for none."""
    period_episodes: Count = 0
    """A checkpoint after every so many episodes; 0 for none."""
    keep: Literal["few", "all"] = "few"
    """Which ones stay: the newest two and the best, or all of them."""
    replay: Literal["auto", "tape", "frames"] = "auto"
    """How the memory comes back at a resume: from the tape, which takes a byte a decision, or
    from compressed frames, which start faster; auto is the tape wherever games can be replayed."""


@dataclass(frozen=True)
class Evaluations:
    """Games that the agent plays apart from its training, to be judged while it learns.

    Nothing that is learned depends on them.
    """

    period_frames: Count = 0
    """Emulator frames between evaluations; 0 for none."""
    episodes: Positive = 10
    """Whole games each time."""
    epsilon: Probability = 0.001
    """Probability of a random action."""
    seed: Count = 0
    """Everything random in the games follows from it: each evaluation plays the same openings."""


@dataclass(frozen=True)
class Compute:
    """Where and how the arithmetic is done."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto takes a GPU if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the networks; auto is bfloat16 where the hardware has it and gets it right.
    Weights: float32."""
    threads: ThreadCount = 0
    """Processor threads for the learner and for the emulators; 0 for all cores."""
    graphs: bool = True
    """Whether a CUDA GPU is given updates and acting as captured graphs, wherever it can be."""


@dataclass(frozen=True, kw_only=True)
class Recipe(abc.ABC):
    """Everything that decides a run, however it learns."""

    name: str
    """The recipe's name."""
    game: Game
    """What is played."""
    torso: Torso
    """From pixels to features."""
    algorithm: Algorithm
    """Head and loss."""
    exploration: Exploration
    """How often an action is random."""
    optimizer: OptimizerPart
    """How gradients become steps."""
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    """When checkpoints are written."""
    evaluation: Evaluations = field(default_factory=Evaluations)
    """When the agent is judged while it learns."""
    compute: Compute = field(default_factory=Compute)
    """Where the arithmetic is done."""
    environments: EnvironmentCount = 8
    """Emulators that play side by side."""
    stack: StackedFrames = 4
    """Frames an observation; at a reset the first one fills the stack."""
    total_frames: Positive = 10_000_000
    """Length of the run in emulator frames."""
    seed: Seed = 1
    """Everything random follows from it."""

    @property
    @abc.abstractmethod
    def ring_rows(self) -> int:
        """Rows of E frames that the frame ring holds."""

    @property
    @abc.abstractmethod
    def clips_rewards(self) -> bool:
        """Whether learning sees rewards clipped to [-1, 1]."""

    @property
    def stores_frames(self) -> bool:
        """Whether checkpoints hold the frame ring itself."""
        choice = self.checkpoints.replay
        return choice == "frames" or (choice == "auto" and not self.game.is_replayable)

    def progress(self, decisions: int) -> Progress:
        """Where schedules are after so many decisions of all environments."""
        return Progress(decisions, self.total_frames // self.game.frames_per_decision)


@dataclass(frozen=True, kw_only=True)
class ReplayRecipe(Recipe):
    """A run that learns from a replay memory."""

    target: TargetNetwork
    """How the target network follows."""
    replay: Replay = field(default_factory=Replay)
    """What is remembered."""
    updates: Updates = field(default_factory=Updates)
    """When the learner updates."""
    resets: Resets | None = None
    """When weights are taken back to fresh ones; None for never."""

    @property
    def clips_rewards(self) -> bool:
        """Whether learning sees rewards clipped to [-1, 1]."""
        return self.replay.clip_rewards

    @property
    def ring_rows(self) -> int:
        """Rows of E frames that the frame ring holds."""
        needed = -(-self.total_frames // (self.environments * self.game.frames_per_decision)) + 1
        return min(-(-self.replay.capacity // self.environments), needed)

    @property
    def start_rows(self) -> int:
        """Rows that must be in the ring before the first update."""
        wanted = self.updates.start_frames // (self.environments * self.game.frames_per_decision)
        return max(wanted, self.replay.most_n_step + 1)


@dataclass(frozen=True, kw_only=True)
class OnPolicyRecipe(Recipe):
    """A run that learns from what it has just played, without replay or target network."""

    algorithm: OnPolicyAlgorithm
    """Head, goals and loss."""
    rollouts: Rollouts = field(default_factory=Rollouts)
    """What is played before each round of learning."""

    @property
    def clips_rewards(self) -> bool:
        """Whether learning sees rewards clipped to [-1, 1]."""
        return self.rollouts.clip_rewards

    @property
    def ring_rows(self) -> int:
        """Rows of E frames in the ring: a rollout, the one being played, the stack before them."""
        return self.rollouts.decisions * (2 if self.rollouts.overlap else 1) + self.stack


def validate(recipe: Recipe) -> None:
    """Check every field of every part; raise QcadeError naming the first that is wrong."""
    check_part(recipe)
    if not isinstance(recipe, (ReplayRecipe, OnPolicyRecipe)):
        kind = type(recipe).__name__
        raise QcadeError(f"{kind} is neither a ReplayRecipe nor an OnPolicyRecipe")
    if recipe.checkpoints.replay == "tape" and not recipe.game.is_replayable:
        raise QcadeError(
            "checkpoints.replay is tape, but this kind of game cannot be replayed: use frames"
        )
    if isinstance(recipe, ReplayRecipe):
        _check_replay(recipe)
    if isinstance(recipe, OnPolicyRecipe):
        _check_rollouts(recipe)


def _check_rollouts(recipe: OnPolicyRecipe) -> None:
    rollouts = recipe.rollouts
    if rollouts.decisions < 2:
        raise QcadeError("rollouts.decisions is 1; use at least 2, for a reset may take one")
    # An episode has a decision at least, so every second row may open another one.
    surely = rollouts.decisions // 2 * recipe.environments
    if rollouts.minibatches > surely:
        raise QcadeError(
            f"rollouts.minibatches is {rollouts.minibatches}, too many for rollouts of "
            f"{rollouts.decisions} decisions in {recipe.environments} environments: use at most "
            f"{surely}"
        )


def _check_replay(recipe: ReplayRecipe) -> None:
    if _learns_on_policy(recipe.algorithm):
        raise QcadeError(
            f"algorithm is {type(recipe.algorithm).__name__}, which learns from rollouts and not "
            "from a replay memory: start from an on-policy recipe (qcade recipes pqn --json)"
        )
    horizon = recipe.replay.horizon
    if horizon is not None and max(horizon.start_gamma, recipe.replay.gamma) >= 1.0:
        raise QcadeError(
            "replay.gamma and replay.horizon.start_gamma must be less than 1: 1 - gamma goes "
            "exponentially from one to the other"
        )
    lowest = self_sufficient_capacity(recipe)
    if recipe.replay.capacity < lowest:
        raise QcadeError(
            f"replay.capacity is {recipe.replay.capacity:,}, too small for updates.start_frames = "
            f"{recipe.updates.start_frames:,}, n-step returns and stacks: use at least {lowest:,}"
        )


def self_sufficient_capacity(recipe: ReplayRecipe) -> int:
    """The least replay capacity, in frames, with which the first update can happen."""
    rows = max(recipe.start_rows, recipe.replay.most_n_step + recipe.stack + 1)
    return rows * recipe.environments


def _learns_on_policy(algorithm: Algorithm) -> bool:
    assert dataclasses.is_dataclass(algorithm)
    inner = (getattr(algorithm, item.name) for item in dataclasses.fields(algorithm))
    return isinstance(algorithm, OnPolicyAlgorithm) or any(
        _learns_on_policy(part) for part in inner if isinstance(part, Algorithm)
    )
