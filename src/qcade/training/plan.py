"""Preparing a run: hardware, environments, network and frame storage, chosen once."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from qcade.compute.hardware import Hardware, resolve
from qcade.games.opening import Placement, open_game, try_out
from qcade.networks.q_network import QNetwork
from qcade.parts import Environments
from qcade.recipe.spec import Recipe, validate
from qcade.replay.storage import StorageKind
from qcade.training.learning_memory import learning_memory
from qcade.training.memory import choose_storage
from qcade.training.parts import Training, assemble, network_of, seeds_of
from qcade.types import TimeStep


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Everything that a run is assembled from."""

    recipe: Recipe
    """The recipe of the run."""
    hardware: Hardware
    """The device, precision and threads."""
    environments: Environments
    """Environments, started and tried out; they must be seeded before the first row."""
    latest: TimeStep
    """The environments' last row."""
    network: QNetwork
    """The network with its initial weights."""
    storage: StorageKind
    """How frames are stored."""

    @property
    def actions(self) -> int:
        """Number of the game's actions."""
        return len(self.environments.action_meanings)


def plan_training(
    recipe: Recipe, storage: StorageKind | None = None, placement: Placement = open_game
) -> TrainingPlan:
    """Start the environments of a recipe, try them out, and build its network.

    `storage` is how frames are stored, if already chosen. `placement` starts the environments, in
    this process or elsewhere, which does not change the run. Raises QcadeError if the recipe cannot
    run here, and EnvironmentFailed if its game cannot be played.
    """
    validate(recipe)
    hardware, seeds = resolve(recipe.compute), seeds_of(recipe)
    if storage is None:
        weights = learning_memory(recipe).weights
        storage = choose_storage(recipe, hardware.device, weights)
    if storage != "raw":
        # Compressed frames are read on the host, which a CUDA graph cannot capture.
        hardware = dataclasses.replace(hardware, graphs=False)
    count = recipe.environments
    environments = placement(recipe.game, count, None, hardware.threads)
    try:
        latest = try_out(environments, count)
        network = network_of(recipe, len(environments.action_meanings), seeds.network)
    except BaseException:
        environments.close()
        raise
    return TrainingPlan(
        recipe=recipe,
        hardware=hardware,
        environments=environments,
        latest=latest,
        network=network,
        storage=storage,
    )


def build_training(plan: TrainingPlan) -> Training:
    """Assemble a planned run."""
    return assemble(
        plan.recipe,
        plan.hardware,
        plan.environments,
        plan.network,
        plan.storage,
        latest=plan.latest,
    )


@contextlib.contextmanager
def planned(recipe: Recipe, storage: StorageKind | None = None) -> Iterator[TrainingPlan]:
    """A context with a plan, whose environments are closed at the end."""
    plan = plan_training(recipe, storage)
    try:
        yield plan
    finally:
        plan.environments.close()
