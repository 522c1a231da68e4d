"""bbf: Bigger, Better, Faster."""

from __future__ import annotations

from qcade.agent.exploration import LinearEpsilon
from qcade.agent.optimizers import Adam
from qcade.agent.resets import ShrinkAndPerturb
from qcade.agent.targets import MovingAverage
from qcade.algorithms.c51 import C51
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.networks.streams import SharedDueling
from qcade.networks.torsos.impala import Impala
from qcade.networks.torsos.renormalized import Renormalized
from qcade.recipe import Horizon, Replay, ReplayRecipe, Updates
from qcade.recipes._games import game_as_played, sized
from qcade.replay.prioritized import Prioritized


def bbf(game: str) -> ReplayRecipe:
    """Wide Impala network, self-prediction, resets, annealed horizon (Schwarzer et al. 2023).

    Values: the paper's code at two updates per decision; two hours of play.
    """
    return sized(
        ReplayRecipe(
            name="bbf",
            game=game_as_played(game),
            torso=Renormalized(Impala(width=4)),
            algorithm=SelfPredictive(
                C51(double=True, streams=SharedDueling(hidden=2_048)), steps=5, weight=5.0
            ),
            exploration=LinearEpsilon(end=0.0, decay_decisions=2_001, start_decisions=2_000),
            optimizer=Adam(
                learning_rate=1e-4, epsilon=1.5e-4, max_gradient_norm=None, weight_decay=0.1
            ),
            target=MovingAverage(rate=0.005),
            replay=Replay(
                capacity=200_000,
                n_step=3,
                gamma=0.997,
                sampling=Prioritized(exponent=0.5, importance_start=0.5, importance_end=0.5),
                horizon=Horizon(start_n_step=10, start_gamma=0.97, anneal_updates=10_000),
            ),
            updates=Updates(start_frames=8_000, period_decisions=1, per_period=2, batch_size=32),
            resets=ShrinkAndPerturb(period_updates=40_000, last_update=160_000, torso_kept=0.5),
            environments=1,
            total_frames=400_000,
        )
    )
