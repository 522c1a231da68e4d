"""prioritized: surprising transitions are replayed more often."""

from __future__ import annotations

import dataclasses

from qcade.agent.optimizers import Adam
from qcade.algorithms.double_dqn import DoubleDQN
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn
from qcade.replay.prioritized import Prioritized


def prioritized(game: str) -> ReplayRecipe:
    """`double-dqn` that replays surprising transitions more often (Schaul et al. 2016).

    Figures: the paper's proportional variant, alpha 0.6, beta from 0.4 to 1, and a quarter of
    the step size.
    """
    recipe = dqn(game)
    sampling = Prioritized(exponent=0.6, importance_start=0.4, importance_end=1.0)
    return sized(
        dataclasses.replace(
            recipe,
            name="prioritized",
            algorithm=DoubleDQN(),
            optimizer=Adam(learning_rate=2.5e-5),
            replay=dataclasses.replace(recipe.replay, sampling=sampling),
        )
    )
