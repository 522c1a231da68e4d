"""iqn: any quantile of the return for every action."""

from __future__ import annotations

import dataclasses

from qcade.agent.optimizers import Adam
from qcade.algorithms.iqn import IQN
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn


def iqn(game: str) -> ReplayRecipe:
    """`dqn` that learns the whole quantile function of the return (Dabney et al. 2018b).

    Figures: the paper's samples and Adam; the rest as `dqn`.
    """
    return sized(
        dataclasses.replace(
            dqn(game),
            name="iqn",
            algorithm=IQN(),
            optimizer=Adam(learning_rate=5e-5, epsilon=0.01 / 32),
        )
    )
