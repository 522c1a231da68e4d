"""Recipes determine everything about a run: frozen dataclasses, validated before use."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Literal

from qcade.checks import check_part
from qcade.compute.settings import Compute
from qcade.parts import (
    AnyAlgorithm,
    Exploration,
    Game,
    OptimizerSpec,
    ReplayAlgorithm,
    Resets,
    RolloutAlgorithm,
    Sampling,
    TargetUpdate,
    Torso,
)
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
)


def _uniform() -> Sampling:
    # Imported only when needed: PyTorch takes seconds, and many commands only read a recipe's game.
    from qcade.replay.samplers import Uniform

    return Uniform()


@dataclass(frozen=True)
class Horizon:
    """Annealing of n and gamma after the start and after every reset of the network.

    Both go exponentially, in updates, from `start_*` to `replay.n_step` and `replay.gamma`, as in
    BBF (Schwarzer et al. 2023).
    """

    start_n_step: StepsAhead = 10
    """n of n-step returns right after a reset."""
    start_gamma: Probability = 0.97
    """Discount per decision right after a reset."""
    anneal_updates: Positive = 10_000
    """Updates until n and gamma reach `replay.n_step` and `replay.gamma`."""


@dataclass(frozen=True)
class Replay:
    """The replay memory, and how transitions are formed from it."""

    capacity: Positive = 1_000_000
    """Frames kept, over all environments; a raw 84x84 frame takes 7,056 bytes."""
    storage: Literal["auto", "raw", "compressed"] = "auto"
    """How frames are stored: raw on the learner's device, or compressed in host memory, about ten
    times smaller and a little slower; auto is raw if that fits. Results are identical on a CPU; on
    a GPU rounding differs, because compressed frames rule out CUDA graphs."""
    n_step: StepsAhead = 1
    """n of n-step returns: rewards summed before bootstrapping."""
    gamma: Probability = 0.99
    """Discount per decision."""
    clip_rewards: bool = True
    """Whether to clip rewards to [-1, 1] for learning; reported scores are never clipped."""
    sampling: Sampling = field(default_factory=_uniform)
    """How transitions are sampled."""
    horizon: Horizon | None = None
    """Annealing of n and gamma after resets; None keeps them constant."""

    @property
    def most_n_step(self) -> int:
        """The largest n of the run."""
        return self.n_step if self.horizon is None else max(self.n_step, self.horizon.start_n_step)


@dataclass(frozen=True)
class Updates:
    """When the learner makes updates, and their batch size."""

    start_frames: Count = 80_000
    """Emulator frames to collect before the first update."""
    period_decisions: Positive = 4
    """Decisions per update period, over all environments."""
    per_period: Repetitions = 1
    """Updates per update period."""
    batch_size: BatchSize = 32
    """Transitions per update."""


@dataclass(frozen=True)
class Rollouts:
    """Length of rollouts, and how often an on-policy learner uses them."""

    decisions: RolloutDecisions = 32
    """Decisions of each environment per rollout."""
    epochs: Repetitions = 2
    """Passes over each rollout."""
    minibatches: Positive = 32
    """Updates per epoch."""
    overlap: bool = False
    """Whether to learn from each rollout while the next one is played, a share at each decision:
    faster, but the policy that plays is one rollout behind."""
    gamma: Probability = 0.99
    """Discount per decision."""
    clip_rewards: bool = True
    """Whether to clip rewards to [-1, 1] for learning; reported scores are never clipped."""


@dataclass(frozen=True)
class Checkpoints:
    """When checkpoints are due, besides the end of the run and an interrupt."""

    period_frames: Count = 400_000
    """Emulator frames between checkpoints; 0 for none."""
    period_episodes: Count = 0
    """Episodes between checkpoints; 0 for none."""
    keep: Literal["few", "all"] = "few"
    """Which checkpoints to keep: few for the newest two and the best, or all."""
    replay: Literal["auto", "tape", "frames"] = "auto"
    """How a resume restores the replay memory: from the tape (one byte per decision), or from saved
    frames, which is faster but larger; auto is the tape if the game can be recreated from it."""


@dataclass(frozen=True)
class Evaluations:
    """Games that the agent plays outside of training, to measure its progress.

    They do not affect training.
    """

    period_frames: Count = 0
    """Emulator frames between evaluations; 0 for none."""
    episodes: Positive = 10
    """Games per evaluation."""
    epsilon: Probability = 0.001
    """Probability of a random action."""
    seed: Count = 0
    """Random seed; every evaluation plays from the same openings."""


@dataclass(frozen=True, kw_only=True)
class Recipe(abc.ABC):
    """Everything that determines a run."""

    name: str
    """The recipe's name."""
    game: Game
    """The game."""
    torso: Torso
    """The layers that map pixels to features."""
    algorithm: AnyAlgorithm
    """The algorithm: head and loss."""
    exploration: Exploration
    """How often actions are random."""
    optimizer: OptimizerSpec
    """The optimizer."""
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    """When checkpoints are written."""
    evaluation: Evaluations = field(default_factory=Evaluations)
    """Evaluations of the agent during training."""
    compute: Compute = field(default_factory=Compute)
    """Device, precision and threads."""
    environments: EnvironmentCount = 8
    """Emulators that run in parallel."""
    stack: StackedFrames = 4
    """Frames per observation; at a reset the first frame fills the stack."""
    total_frames: Positive = 10_000_000
    """Length of the run in emulator frames."""
    seed: Seed = 1
    """Random seed of the run."""

    @property
    @abc.abstractmethod
    def ring_rows(self) -> int:
        """Rows of E frames that the frame ring holds."""

    @property
    @abc.abstractmethod
    def clips_rewards(self) -> bool:
        """Whether rewards are clipped to [-1, 1] for learning."""

    @property
    def stores_frames(self) -> bool:
        """Whether checkpoints contain the frame ring."""
        choice = self.checkpoints.replay
        return choice == "frames" or (choice == "auto" and not self.game.is_replayable)

    def progress(self, decisions: int) -> Progress:
        """Progress of the run after `decisions` decisions of all environments."""
        return Progress(decisions, self.total_frames // self.game.frames_per_decision)


@dataclass(frozen=True, kw_only=True)
class ReplayRecipe(Recipe):
    """A run that learns from a replay memory."""

    algorithm: ReplayAlgorithm
    """The algorithm: head and loss."""
    target: TargetUpdate
    """How the target network follows the online network."""
    replay: Replay = field(default_factory=Replay)
    """The replay memory."""
    updates: Updates = field(default_factory=Updates)
    """When updates are made, and their batch size."""
    resets: Resets | None = None
    """When and how weights are reset towards fresh ones; None for never."""

    @property
    def clips_rewards(self) -> bool:
        """Whether rewards are clipped to [-1, 1] for learning."""
        return self.replay.clip_rewards

    @property
    def ring_rows(self) -> int:
        """Rows of E frames that the frame ring holds."""
        needed = -(-self.total_frames // (self.environments * self.game.frames_per_decision)) + 1
        return min(-(-self.replay.capacity // self.environments), needed)

    @property
    def start_rows(self) -> int:
        """Rows to collect before the first update."""
        wanted = self.updates.start_frames // (self.environments * self.game.frames_per_decision)
        return max(wanted, self.replay.most_n_step + 1)


@dataclass(frozen=True, kw_only=True)
class OnPolicyRecipe(Recipe):
    """A run that learns on-policy from rollouts, without replay memory or target network."""

    algorithm: RolloutAlgorithm
    """The algorithm: head, returns and loss."""
    rollouts: Rollouts = field(default_factory=Rollouts)
    """Rollouts, and the updates made from them."""

    @property
    def clips_rewards(self) -> bool:
        """Whether rewards are clipped to [-1, 1] for learning."""
        return self.rollouts.clip_rewards

    @property
    def ring_rows(self) -> int:
        """Rows of E frames in the ring: the rollout(s), and the stack before them."""
        return self.rollouts.decisions * (2 if self.rollouts.overlap else 1) + self.stack


WRONG_ALGORITHM_TYPE = (
    "an algorithm that learns from rollouts needs a recipe like `pqn`, and one that learns from a "
    "replay memory a recipe like `dqn` (see `qcade recipes pqn --json`)"
)


def validate(recipe: Recipe) -> None:
    """Check every field of every part; QcadeError names the first one that is wrong."""
    needed = RolloutAlgorithm if isinstance(recipe, OnPolicyRecipe) else ReplayAlgorithm
    algorithm = recipe.algorithm
    if isinstance(algorithm, AnyAlgorithm) and not isinstance(algorithm, needed):
        raise QcadeError(f"algorithm is {type(algorithm).__name__}: {WRONG_ALGORITHM_TYPE}")
    check_part(recipe)
    if not isinstance(recipe, (ReplayRecipe, OnPolicyRecipe)):
        kind = type(recipe).__name__
        raise QcadeError(f"{kind} is neither a ReplayRecipe nor an OnPolicyRecipe")
    if recipe.checkpoints.replay == "tape" and not recipe.game.is_replayable:
        raise QcadeError(
            "checkpoints.replay is tape, but this kind of game cannot be recreated: use frames"
        )
    if isinstance(recipe, ReplayRecipe):
        _check_replay(recipe)
    if isinstance(recipe, OnPolicyRecipe):
        _check_rollouts(recipe)


def _check_rollouts(recipe: OnPolicyRecipe) -> None:
    rollouts = recipe.rollouts
    if rollouts.decisions < 2:
        raise QcadeError("rollouts.decisions is 1; use at least 2, since a reset may take one")
    # An episode has at least one decision, so every second row may open another one.
    guaranteed = rollouts.decisions // 2 * recipe.environments
    if rollouts.minibatches > guaranteed:
        raise QcadeError(
            f"rollouts.minibatches is {rollouts.minibatches}, too many for rollouts of "
            f"{rollouts.decisions} decisions in {recipe.environments} environments: use at most "
            f"{guaranteed}"
        )


def _check_replay(recipe: ReplayRecipe) -> None:
    horizon = recipe.replay.horizon
    if horizon is not None and max(horizon.start_gamma, recipe.replay.gamma) >= 1.0:
        raise QcadeError(
            "replay.gamma and replay.horizon.start_gamma must be less than 1: "
            "1 - gamma is annealed exponentially between them"
        )
    smallest = self_sufficient_capacity(recipe)
    if recipe.replay.capacity < smallest:
        raise QcadeError(
            f"replay.capacity is {recipe.replay.capacity:,}, too small for updates.start_frames = "
            f"{recipe.updates.start_frames:,}, n-step returns and stacks: use at least {smallest:,}"
        )


def self_sufficient_capacity(recipe: ReplayRecipe) -> int:
    """The smallest replay capacity, in frames, that allows a first update."""
    rows = max(recipe.start_rows, recipe.replay.most_n_step + recipe.stack + 1)
    return rows * recipe.environments
