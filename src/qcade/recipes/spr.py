"""spr: Rainbow with self-prediction."""

from __future__ import annotations

from qcade.agent.exploration import LinearEpsilon
from qcade.agent.optimizers import Adam
from qcade.agent.targets import NoTarget
from qcade.algorithms.c51 import C51
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.networks.streams import Dueling
from qcade.networks.torsos.nature import Nature
from qcade.networks.torsos.renormalized import Renormalized
from qcade.recipe import Replay, ReplayRecipe, Updates
from qcade.recipes._games import game_as_played, sized
from qcade.replay.prioritized import Prioritized


def spr(game: str) -> ReplayRecipe:
    """Rainbow with augmentation and self-prediction of its features (Schwarzer et al. 2021).

    Values: the paper's code; two hours of play, two updates per decision.
    """
    return sized(
        ReplayRecipe(
            name="spr",
            game=game_as_played(game),
            torso=Renormalized(Nature()),
            algorithm=SelfPredictive(
                C51(double=True, streams=Dueling(hidden=256, noisy_sigma=0.5)), steps=5, weight=5.0
            ),
            exploration=LinearEpsilon(end=0.0, decay_decisions=1, start_decisions=2_000),
            optimizer=Adam(learning_rate=1e-4, epsilon=1.5e-4),
            target=NoTarget(),
            replay=Replay(capacity=100_000, n_step=10, sampling=Prioritized(exponent=0.5)),
            updates=Updates(start_frames=8_000, period_decisions=1, per_period=2, batch_size=32),
            environments=1,
            total_frames=400_000,
        )
    )
