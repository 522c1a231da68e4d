"""The parts of a training run, assembled from its recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from qcade.agent.actor import Actor
from qcade.agent.learner import Learner
from qcade.agent.targets import NoTarget
from qcade.compute.hardware import Hardware
from qcade.compute.runners import MAX_STEPS_PER_GRAPH
from qcade.networks.q_network import QNetwork, build_q_network
from qcade.parts import Environments, Resets
from qcade.play.session import RunSeeds, Session
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.replay.frames import FrameRing
from qcade.replay.storage import StorageKind
from qcade.training.replay_source import ReplaySource
from qcade.training.rollout_source import RolloutSource
from qcade.training.sources import Clock, Source
from qcade.types import DoubleArray, Progress, TimeStep


@dataclass
class MetricSums:
    """Sums of metrics since the last report, kept on the device."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    """0-d tensors, by name."""
    updates: int = 0
    """Updates included in the sums."""

    def add(self, sums: dict[str, Tensor], updates: int) -> None:
        """Add the sums of `updates` updates."""
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, torch.zeros(())) + value
        self.updates += updates

    def take(self) -> dict[str, float]:
        """Return the means since the last call, and start again from zero."""
        # Sorted, since restored sums may be in another order.
        means = {name: float(value) / self.updates for name, value in sorted(self.sums.items())}
        self.sums, self.updates = {}, 0
        return means


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Seeds of the random parts of a run, all derived from the recipe's seed."""

    network: int
    """Initial weights."""
    actor: int
    """Random actions."""
    source: int
    """Sampling of transitions, and weights after a reset."""
    noise: int
    """Random numbers in networks, such as noise."""


def seeds_of(recipe: Recipe) -> Seeds:
    """Derive the seeds of a run's parts."""
    drawn = [int(s) for s in np.random.SeedSequence(recipe.seed).generate_state(5)]
    # The first one was for environments before they were seeded one by one.
    _, network, actor, source, noise = drawn
    return Seeds(network=network, actor=actor, source=source, noise=noise)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The parts of a run; each keeps its own state, and the loop advances the clock."""

    recipe: Recipe
    """The recipe of the run."""
    hardware: Hardware
    """The device, precision and threads."""
    session: Session
    """Environments, frame ring and episodes."""
    run_seeds: RunSeeds
    """Decides when environments are reseeded."""
    actor: Actor
    """Chooses actions."""
    learner: Learner
    """Makes updates."""
    source: Source
    """Plans and gathers batches."""
    resets: Resets | None
    """When and how weights are reset; None for never."""
    noise: torch.Generator
    """Generates random numbers in networks, for actor and learner."""
    clock: Clock = field(default_factory=Clock)
    """How far the run has come."""
    metrics: MetricSums = field(default_factory=MetricSums)
    """Metrics of the updates since the last report."""

    @property
    def ring(self) -> FrameRing:
        """The frames of the newest rows."""
        assert self.session.ring is not None
        return self.session.ring

    @property
    def frames(self) -> int:
        """Emulator frames of the run so far."""
        return self.clock.decisions * self.recipe.game.frames_per_decision

    @property
    def progress(self) -> Progress:
        """The progress that schedules depend on."""
        return self.recipe.progress(self.clock.decisions)

    @property
    def epsilons(self) -> DoubleArray:
        """Probability of a random action now in each environment, float64 [E]."""
        return self.recipe.exploration.epsilons(self.progress, self.recipe.environments)

    def require_made_updates(self) -> None:
        """Raise NotFinite if the device refused an update because it was not finite."""
        self.learner.guard.check(self.clock.updates)

    def fresh_network(self) -> QNetwork:
        """Build a network to reset to; its weights are determined by seed and number of updates."""
        seed = seeds_of(self.recipe).source + self.clock.updates
        return network_of(self.recipe, self.actor.actions, seed)

    def close(self) -> None:
        """Free the emulators."""
        self.session.close()


def network_of(recipe: Recipe, actions: int, seed: int) -> QNetwork:
    """Build the network of a recipe for a game with this number of actions."""
    shape = (recipe.stack, *recipe.game.frame_shape)
    return build_q_network(recipe.torso, recipe.algorithm, shape, actions, seed)


def assemble(
    recipe: Recipe,
    hardware: Hardware,
    environments: Environments,
    network: QNetwork,
    storage: StorageKind,
    ring_rows: int | None = None,
    latest: TimeStep | None = None,
) -> Training:
    """Assemble the parts of a run; see `training.plan`.

    `ring_rows` overrides the recipe's number of rows. `latest` is the last row of environments that
    were tried out.
    """
    seeds, actions = seeds_of(recipe), len(environments.action_meanings)
    height, width = recipe.game.frame_shape
    # One generator, on the networks' device, for acting and learning.
    noise = torch.Generator(hardware.device).manual_seed(seeds.noise)
    target = recipe.target if isinstance(recipe, ReplayRecipe) else NoTarget()
    learner = Learner(network, recipe.algorithm, recipe.optimizer, target, hardware, noise)
    actor = Actor(learner.network, actions, hardware, seeds.actor, noise)
    ring = FrameRing(
        ring_rows or recipe.ring_rows,
        recipe.environments,
        height,
        width,
        recipe.stack,
        hardware.device,
        storage,
    )
    return Training(
        recipe=recipe,
        hardware=hardware,
        session=Session(environments, recipe.environments, ring, recipe.clips_rewards, latest),
        run_seeds=RunSeeds(recipe.seed, recipe.environments),
        actor=actor,
        learner=learner,
        source=make_source(recipe, ring, seeds.source, hardware),
        resets=recipe.resets if isinstance(recipe, ReplayRecipe) else None,
        noise=noise,
    )


def make_source(recipe: Recipe, ring: FrameRing, seed: int, hardware: Hardware) -> Source:
    """Make the source of batches for the type of a valid recipe."""
    max_updates_per_graph = MAX_STEPS_PER_GRAPH if hardware.captures else 1
    if isinstance(recipe, ReplayRecipe):
        return ReplaySource(recipe, ring, seed, max_updates_per_graph)
    assert isinstance(recipe, OnPolicyRecipe)
    return RolloutSource(recipe, ring, seed, max_updates_per_graph)
