"""Which learner a recipe gets: chosen by the recipe's type."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from qcade.agent.learner import Learner
from qcade.agent.targets import NoTarget
from qcade.parts import TargetNetwork
from qcade.recipe import OnPolicyRecipe, Recipe, ReplayRecipe
from qcade.replay.frames import FrameRing
from qcade.training.on_policy_updates import OnPolicyUpdates
from qcade.training.replay_updates import ReplayUpdates
from qcade.types import Progress


class UpdateRule(Protocol):
    """When updates are made, and from what."""

    def due(self, decisions: int) -> int:
        """Updates that belong to the decisions now being made, of which there were so many."""
        ...

    def update(self, progress: Progress) -> dict[str, Tensor]:
        """Make one update; return its metrics, 0-d tensors."""
        ...

    def launch(self, most: int, progress: Progress) -> tuple[int, dict[str, Tensor]]:
        """Make some of the next updates, at least one and up to `most`, with one launch.

        Returns how many, and the sums of their metrics, which last until the next launch.
        """
        ...

    def heard(self, q_values: Tensor | None) -> None:
        """Hear what the actor made of the newest observations: float32 [E, A], if it asked."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything beside learner and ring that the next update depends on."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        ...


def update_rule(
    recipe: Recipe, learner: Learner, ring: FrameRing, actions: int, seed: int
) -> UpdateRule:
    """Make what updates the learner of a valid recipe."""
    if isinstance(recipe, ReplayRecipe):
        return ReplayUpdates(recipe, learner, ring, actions, seed)
    assert isinstance(recipe, OnPolicyRecipe)
    return OnPolicyUpdates(recipe, learner, ring, seed)


def target_rule(recipe: Recipe) -> TargetNetwork:
    """How the target network of a recipe follows; recipes without one have none."""
    return recipe.target if isinstance(recipe, ReplayRecipe) else NoTarget()
