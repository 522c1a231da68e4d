"""double-dqn: the online network chooses the next action."""

from __future__ import annotations

import dataclasses

from qcade.algorithms.double_dqn import DoubleDQN
from qcade.recipe import ReplayRecipe
from qcade.recipes.dqn import dqn


def double_dqn(game: str) -> ReplayRecipe:
    """`dqn` whose next action is chosen by the online network (van Hasselt et al. 2016)."""
    return dataclasses.replace(dqn(game), name="double-dqn", algorithm=DoubleDQN())
