"""sprint-gpu: sprint for a GPU and the sixteen cores beside it."""

from __future__ import annotations

import dataclasses

from qcade.recipe import Compute, OnPolicyRecipe
from qcade.recipes._games import sized
from qcade.recipes.sprint import full_size


def sprint_gpu(game: str) -> OnPolicyRecipe:
    """`sprint` with twice the emulators and half the rollout, for a GPU; not run on one yet.

    Four updates a row go to the GPU as one graph while the emulators of all cores play.
    """
    recipe = full_size(game)
    return sized(
        dataclasses.replace(
            recipe,
            name="sprint-gpu",
            environments=64,
            rollouts=dataclasses.replace(recipe.rollouts, decisions=16),
            compute=Compute(),
        )
    )
