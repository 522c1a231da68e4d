"""qr-dqn: the quantiles of the return for every action."""

from __future__ import annotations

import dataclasses

from qcade.agent.optimizers import Adam
from qcade.algorithms.qr_dqn import QRDQN
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn


def qr_dqn(game: str) -> ReplayRecipe:
    """`dqn` that learns 200 quantiles of the return (Dabney et al. 2018a).

    Figures: the paper's quantiles and Adam; the rest as `dqn`.
    """
    return sized(
        dataclasses.replace(
            dqn(game),
            name="qr-dqn",
            algorithm=QRDQN(),
            optimizer=Adam(learning_rate=5e-5, epsilon=0.01 / 32),
        )
    )
