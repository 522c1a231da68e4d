"""dqn: the Nature DQN with today's common settings."""

from __future__ import annotations

from qcade.agent.exploration import LinearEpsilon
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.dqn import DQN
from qcade.networks.torsos.nature import Nature
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import game_as_played, sized


def dqn(game: str) -> ReplayRecipe:
    """Nature DQN with today's common settings: Adam, Huber loss, one update per 4 decisions.

    Values: Mnih et al. 2015; Adam at 1e-4, epsilon to 0.01 and a target copied every 1,000
    decisions as in CleanRL and Stable-Baselines3.
    """
    return sized(
        ReplayRecipe(
            name="dqn",
            game=game_as_played(game),
            torso=Nature(),
            algorithm=DQN(),
            exploration=LinearEpsilon(),
            optimizer=Adam(),
            target=HardCopy(period_updates=250),
        )
    )
