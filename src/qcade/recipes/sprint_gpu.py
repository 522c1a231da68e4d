"""sprint-gpu: sprint for a GPU with sixteen CPU cores."""

from __future__ import annotations

import dataclasses

from qcade.recipe import Compute, OnPolicyRecipe
from qcade.recipes._games import sized
from qcade.recipes.sprint import full_size


def sprint_gpu(game: str) -> OnPolicyRecipe:
    """`sprint` with twice the emulators and half the rollout, for a GPU; not run on one yet.

    The GPU makes the four updates of a row as one graph while emulators play on all cores.
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
