"""catch: dqn scaled down for the built-in game Catch."""

from __future__ import annotations

import dataclasses

from qcade.recipe import ReplayRecipe
from qcade.recipes._small_scale import small_scale
from qcade.recipes.dqn import dqn


def catch(game: str) -> ReplayRecipe:
    """`dqn` scaled down for the built-in game Catch: solves it in a minute on a laptop."""
    return dataclasses.replace(small_scale(dqn(game)), name="catch", total_frames=6_000)
