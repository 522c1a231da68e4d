"""hl-gauss: values learned as classification."""

from __future__ import annotations

import dataclasses

from qcade.agent.optimizers import Adam
from qcade.algorithms.hl_gauss import HLGauss
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn


def hl_gauss(game: str) -> ReplayRecipe:
    """`dqn` with cross-entropy to smoothed values for a loss (Farebrother et al. 2024).

    Figures: the paper's bins and smoothing, Dopamine's Adam; the rest as `dqn`.
    """
    return sized(
        dataclasses.replace(
            dqn(game),
            name="hl-gauss",
            algorithm=HLGauss(),
            optimizer=Adam(learning_rate=6.25e-5, epsilon=1.5e-4),
        )
    )
