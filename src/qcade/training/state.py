"""Everything that a run is made of, and snapshots of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qcade.agent.actor import Actor, Choice
from qcade.agent.finite import require_finite
from qcade.agent.learner import Learner
from qcade.games.opening import open_game
from qcade.machine import Hardware, keep_freed_memory, resolve
from qcade.networks.q_network import build_q_network
from qcade.parts import Environments
from qcade.recipe import Recipe, validate
from qcade.replay.frames import FrameRing
from qcade.training.acting import Acting
from qcade.training.episodes import Episode, EpisodeTracker
from qcade.training.events import Seeding
from qcade.training.memory import choose_storage
from qcade.training.update_rules import target_rule, update_rule
from qcade.types import JSON, DoubleArray, IntArray, Progress, TimeStep


@dataclass(frozen=True)
class Snapshot:
    """Everything a checkpoint holds, as plain tensors and JSON."""

    model: dict[str, Tensor]
    """Weights of the online network."""
    learning: dict[str, Tensor]
    """Target network, optimizer and random generators."""
    counters: dict[str, JSON]
    """Decisions, updates, episodes and schedules' positions."""


class Training:
    """All parts of a run, put together from a recipe."""

    def __init__(self, recipe: Recipe, snapshot: Snapshot | None = None) -> None:
        validate(recipe)
        keep_freed_memory()
        self.recipe = recipe
        self.hardware: Hardware = resolve(recipe.compute)
        torch.set_num_threads(self.hardware.threads)
        seeds = [int(s) for s in np.random.SeedSequence(recipe.seed).generate_state(5)]
        self.environments: Environments = open_game(
            recipe.game, recipe.environments, seeds[0], self.hardware.threads
        )
        actions = len(self.environments.action_meanings)
        height, width = recipe.game.frame_shape
        network = build_q_network(
            recipe.torso, recipe.algorithm, (recipe.stack, height, width), actions, seeds[1]
        )
        weights = sum(p.nbytes for p in network.parameters())
        storage = choose_storage(recipe, self.hardware.device, weights)
        if storage != "raw":
            # Compressed frames come from the host, which no graph can hold.
            self.hardware = dataclasses.replace(self.hardware, graphs=False)
        # Noise is drawn where the networks are; one generator for acting and learning.
        self.noise = torch.Generator(self.hardware.device).manual_seed(seeds[4])
        self.learner = Learner(
            network,
            recipe.algorithm,
            recipe.optimizer,
            target_rule(recipe),
            self.hardware,
            self.noise,
        )
        self.actor = Actor(self.learner.network, actions, self.hardware, seeds[2], self.noise)
        self.ring = FrameRing(
            recipe.ring_rows,
            recipe.environments,
            height,
            width,
            recipe.stack,
            self.hardware.device,
            storage,
        )
        self.acting = Acting(self.actor, self.ring)
        self.updates = update_rule(recipe, self.learner, self.ring, actions, seeds[3])
        self.episodes = EpisodeTracker(recipe.environments)
        self.seeded_rows: IntArray = np.zeros(recipe.environments, dtype=np.int64)
        self.games_are_open = False
        self.decisions = 0
        self.episode_count = 0
        self.metric_sums: dict[str, Tensor] = {}
        self.metric_count = 0
        self.sent_actions: IntArray | None = None
        """What was sent for the row to come, once its updates are made: int64 [E]."""
        if snapshot is not None:
            self.restore(snapshot)

    @property
    def frames(self) -> int:
        """Emulator frames of the run so far."""
        return self.decisions * self.recipe.game.frames_per_decision

    @property
    def progress(self) -> Progress:
        """Where the schedules are."""
        return self.recipe.progress(self.decisions)

    @property
    def epsilons(self) -> DoubleArray:
        """Probability of a random action now in each environment, float64 [E]."""
        return self.recipe.exploration.epsilons(self.progress, self.recipe.environments)

    @property
    def next_row(self) -> int:
        """Number of the row to come: one row a decision of all environments."""
        return self.ring.appended_rows

    def act(self) -> Choice:
        """Choose an action in every environment."""
        return self.acting.act(self.epsilons)

    def update_all_due(self) -> None:
        """Make the updates that belong to the decisions now being made."""
        left = self.updates.due(self.decisions)
        while left:
            made, sums = self.updates.launch(left, self.progress)
            for name, value in sums.items():
                self.metric_sums[name] = self.metric_sums.get(name, torch.zeros(())) + value
            self.metric_count += made
            left -= made

    def take_metrics(self) -> dict[str, float]:
        """Means of the metrics since the last call; NotFinite if updates could not be made."""
        self.learner.guard.check(self.learner.updates)
        # Sorted, since a restored sum may come back in another order.
        sums = sorted(self.metric_sums.items())
        means = {name: float(value) / self.metric_count for name, value in sums}
        self.metric_sums, self.metric_count = {}, 0
        return means

    def append(
        self, step: TimeStep, actions: IntArray, seedings: tuple[Seeding, ...]
    ) -> list[Episode]:
        """Put a row into the ring, rewards clipped if the recipe says so; return what it ended."""
        for seeding in seedings:
            self.seeded_rows[seeding.environment] = seeding.row
        ended = self.episodes.track(step)
        self.remember(step, actions)
        return ended

    def remember(self, step: TimeStep, actions: IntArray) -> None:
        """Put a row into the ring alone."""
        if self.recipe.clips_rewards:
            step = step._replace(reward=np.clip(step.reward, -1.0, 1.0))
        self.ring.append(step, actions)

    def snapshot(self) -> Snapshot:
        """Everything needed to continue, but the ring and the emulators.

        NotFinite if a weight or a moment of the optimizer is no finite number.
        """
        self.learner.guard.check(self.learner.updates)
        require_finite(self.learner.network.state_dict(), "weights")
        require_finite(self.learner.tensors(), "target network and optimizer")
        learning = self.learner.tensors()
        learning["random.actor"] = self.actor.generator.get_state()
        learning["random.noise"] = self.noise.get_state()
        for name, value in self.updates.tensors().items():
            learning[f"updates.{name}"] = value
        for name, value in self.metric_sums.items():
            learning[f"metric.{name}"] = value
        counters: dict[str, JSON] = {
            "decisions": self.decisions,
            "updates": self.learner.updates,
            "episodes": self.episode_count,
            "metric_count": self.metric_count,
            "next_row": self.next_row,
            "opening_row": self.ring.opening_row,
            "under_way": self.episodes.state(),
        }
        if self.sent_actions is not None:
            counters["sent_actions"] = [int(action) for action in self.sent_actions]
        model = self.learner.network.state_dict()
        return Snapshot(_copied(model), _copied(learning), counters)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of the same recipe, with an empty ring and new games.

        On another kind of device than the snapshot's, noise in networks goes on from a new seed.
        """
        counters = snapshot.counters
        self.decisions, self.episode_count, updates, self.metric_count = (
            int(str(counters[k])) for k in ("decisions", "episodes", "updates", "metric_count")
        )
        sent = counters.get("sent_actions")
        if isinstance(sent, list):
            self.sent_actions = np.array([int(str(action)) for action in sent], np.int64)
        next_row = int(str(counters["next_row"]))
        self.ring.start_at(next_row, opening_row=next_row)
        self.learner.network.load_state_dict(snapshot.model)
        self.learner.restore(snapshot.learning, updates)
        self.actor.generator.set_state(snapshot.learning["random.actor"])
        noise = snapshot.learning["random.noise"]
        if noise.shape == self.noise.get_state().shape:
            self.noise.set_state(noise)
        else:
            # Another kind of device draws by another generator, which only a seed can start.
            entropy = np.random.SeedSequence((self.recipe.seed, next_row)).generate_state(1)
            self.noise.manual_seed(int(entropy[0]))
        self.updates.restore(_with_prefix("updates.", snapshot.learning))
        self.metric_sums = _with_prefix("metric.", snapshot.learning)

    def close(self) -> None:
        """Free the emulators."""
        self.environments.close()


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
