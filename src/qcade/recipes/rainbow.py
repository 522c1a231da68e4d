"""rainbow: six improvements of DQN combined."""

from __future__ import annotations

from qcade.agent.exploration import NoRandomActions
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.c51 import C51
from qcade.networks.streams import Dueling
from qcade.networks.torsos.nature import Nature
from qcade.recipe import Replay, ReplayRecipe, Updates
from qcade.recipes._games import game_as_played, sized
from qcade.replay.prioritized import Prioritized


def rainbow(game: str) -> ReplayRecipe:
    """C51, double, dueling, n = 3, prioritised replay and noisy networks (Hessel et al. 2018).

    Values: the paper; gradient norms are clipped to 10, as in dqn_zoo.
    """
    return sized(
        ReplayRecipe(
            name="rainbow",
            game=game_as_played(game),
            torso=Nature(),
            algorithm=C51(double=True, streams=Dueling(noisy_sigma=0.5)),
            exploration=NoRandomActions(),
            optimizer=Adam(learning_rate=6.25e-5, epsilon=1.5e-4),
            target=HardCopy(period_updates=2_000),
            replay=Replay(n_step=3, sampling=Prioritized(exponent=0.5)),
            updates=Updates(start_frames=80_000, period_decisions=4, batch_size=32),
            total_frames=200_000_000,
        )
    )
