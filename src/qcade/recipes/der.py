"""der: data-efficient Rainbow."""

from __future__ import annotations

from qcade.agent.exploration import NoRandomActions
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.c51 import C51
from qcade.networks.streams import Dueling
from qcade.networks.torsos.small import Small
from qcade.recipe import Replay, ReplayRecipe, Updates
from qcade.recipes._games import game_as_played, sized
from qcade.replay.prioritized import Prioritized


def der(game: str) -> ReplayRecipe:
    """Data-efficient Rainbow: small network, n = 20, one update per decision (van Hasselt 2019).

    Values: the data-efficient setting of Kaixhin's Rainbow; two hours of play.
    """
    return sized(
        ReplayRecipe(
            name="der",
            game=game_as_played(game),
            torso=Small(),
            algorithm=C51(double=True, streams=Dueling(hidden=256, noisy_sigma=0.1)),
            exploration=NoRandomActions(),
            optimizer=Adam(learning_rate=1e-4, epsilon=1.5e-4),
            target=HardCopy(period_updates=2_000),
            replay=Replay(capacity=100_000, n_step=20, sampling=Prioritized(exponent=0.5)),
            updates=Updates(start_frames=6_400, period_decisions=1, batch_size=32),
            environments=1,
            total_frames=400_000,
        )
    )
