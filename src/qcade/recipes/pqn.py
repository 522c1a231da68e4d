"""pqn: Q-learning from parallel games, without replay memory or target network."""

from __future__ import annotations

from qcade.agent.exploration import LinearEpsilonOfRun
from qcade.agent.optimizers import RAdam
from qcade.algorithms.pqn import PQN
from qcade.networks.streams import Plain
from qcade.networks.torsos.nature import Nature
from qcade.recipe import OnPolicyRecipe, Rollouts
from qcade.recipes._games import game_as_played, sized


def pqn(game: str) -> OnPolicyRecipe:
    """Q(lambda) on 128 parallel games, layer normalization, no replay (Gallici et al. 2024).

    Values: the paper's code.
    """
    return sized(
        OnPolicyRecipe(
            name="pqn",
            game=game_as_played(game),
            torso=Nature(normalization="channel"),
            algorithm=PQN(streams=Plain(normalization="layer")),
            exploration=LinearEpsilonOfRun(start=1.0, end=0.001, decay_fraction=0.1),
            optimizer=RAdam(learning_rate=2.5e-4),
            rollouts=Rollouts(decisions=32, epochs=2, minibatches=32),
            environments=128,
            total_frames=200_000_000,
        )
    )
