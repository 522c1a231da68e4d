"""munchausen-dqn: the policy rewards itself."""

from __future__ import annotations

import dataclasses

from qcade.agent.optimizers import Adam
from qcade.algorithms.munchausen_dqn import MunchausenDQN
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn


def munchausen_dqn(game: str) -> ReplayRecipe:
    """`dqn` with soft values and a bonus for likely actions (Vieillard et al. 2020).

    Figures: the paper's temperature, alpha, clipping and Adam; the rest as `dqn`.
    """
    return sized(
        dataclasses.replace(
            dqn(game),
            name="munchausen-dqn",
            algorithm=MunchausenDQN(),
            optimizer=Adam(learning_rate=5e-5, epsilon=0.01 / 32),
        )
    )
