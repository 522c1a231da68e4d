"""Recipes: everything that determines a run, validated, and as versioned JSON."""

from qcade.compute.settings import Compute
from qcade.recipe.spec import (
    Checkpoints,
    Evaluations,
    Horizon,
    OnPolicyRecipe,
    Recipe,
    Replay,
    ReplayRecipe,
    Rollouts,
    Updates,
    self_sufficient_capacity,
    validate,
)

__all__ = [
    "Checkpoints",
    "Compute",
    "Evaluations",
    "Horizon",
    "OnPolicyRecipe",
    "Recipe",
    "Replay",
    "ReplayRecipe",
    "Rollouts",
    "Updates",
    "self_sufficient_capacity",
    "validate",
]
