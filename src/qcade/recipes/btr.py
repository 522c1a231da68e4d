"""btr: Beyond the Rainbow, for one desktop GPU."""

from __future__ import annotations

from qcade.agent.exploration import ExponentialEpsilon
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.munchausen_iqn import MunchausenIQN
from qcade.networks.streams import Dueling
from qcade.networks.torsos.impala import Impala
from qcade.recipe import Replay, ReplayRecipe, Updates
from qcade.recipes._games import game_as_played, sized
from qcade.replay.prioritized import Prioritized


def btr(game: str) -> ReplayRecipe:
    """Impala network, Munchausen IQN, 64 environments (Clark et al. 2024).

    Values: the paper's code.
    """
    return sized(
        ReplayRecipe(
            name="btr",
            game=game_as_played(game, sticky_actions=0.25, life_loss_terminal=False),
            torso=Impala(width=2, spectral_normalization=True, pooled_side=6),
            algorithm=MunchausenIQN(streams=Dueling(noisy_sigma=0.5), samples=8, policy_samples=8),
            exploration=ExponentialEpsilon(start=1.0, end=0.01, rate_per_decision=5e-7),
            optimizer=Adam(learning_rate=1e-4, epsilon=0.005 / 256),
            target=HardCopy(period_updates=500),
            replay=Replay(
                capacity=2**20,
                n_step=3,
                gamma=0.997,
                sampling=Prioritized(exponent=0.2, importance_start=0.2, importance_end=0.2),
            ),
            updates=Updates(start_frames=800_000, period_decisions=64, batch_size=256),
            environments=64,
            total_frames=200_000_000,
        )
    )
