"""c51: a distribution over 51 returns for every action."""

from __future__ import annotations

import dataclasses

from qcade.agent.optimizers import Adam
from qcade.algorithms.c51 import C51
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn


def c51(game: str) -> ReplayRecipe:
    """`dqn` that learns the distribution of returns on 51 atoms (Bellemare et al. 2017).

    Figures: the paper's atoms and Adam, as in dqn_zoo; the rest as `dqn`.
    """
    return sized(
        dataclasses.replace(
            dqn(game),
            name="c51",
            algorithm=C51(),
            optimizer=Adam(learning_rate=2.5e-4, epsilon=0.01 / 32),
        )
    )
