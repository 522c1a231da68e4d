"""munchausen-iqn: implicit quantiles and the Munchausen bonus."""

from __future__ import annotations

import dataclasses

from qcade.agent.optimizers import Adam
from qcade.algorithms.munchausen_iqn import MunchausenIQN
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn


def munchausen_iqn(game: str) -> ReplayRecipe:
    """`iqn` with soft values and a bonus for likely actions (Vieillard et al. 2020).

    Figures: the paper's temperature, alpha, clipping, samples and Adam; the rest as `dqn`.
    """
    return sized(
        dataclasses.replace(
            dqn(game),
            name="munchausen-iqn",
            algorithm=MunchausenIQN(),
            optimizer=Adam(learning_rate=5e-5, epsilon=0.01 / 32),
        )
    )
