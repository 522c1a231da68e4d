"""dueling: separate streams for state value and advantages."""

from __future__ import annotations

import dataclasses

from qcade.algorithms.double_dqn import DoubleDQN
from qcade.networks.streams import Dueling
from qcade.recipe import ReplayRecipe
from qcade.recipes.dqn import dqn


def dueling(game: str) -> ReplayRecipe:
    """`double-dqn` with separate streams for state value and advantages (Wang et al. 2016)."""
    return dataclasses.replace(dqn(game), name="dueling", algorithm=DoubleDQN(streams=Dueling()))
