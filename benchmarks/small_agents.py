"""Three agents for one comparison: equal torso and protocol, other parts.

`qcade train pong --recipe small_agents:small_dqn` and so on, from this folder.

The torso is that of `der`, so that a million frames take minutes on a laptop; epsilon, where there
is one, falls over 60,000 decisions, since those with a memory make no more than 250,000. The one
without plays four times as many frames, which takes it little longer.
"""

from __future__ import annotations

import dataclasses

from qcade.agent.exploration import LinearEpsilon, NoRandomActions
from qcade.agent.optimizers import Adam, RAdam
from qcade.agent.targets import HardCopy
from qcade.algorithms.c51 import C51
from qcade.algorithms.dqn import DQN
from qcade.algorithms.pqn import PQN
from qcade.networks.streams import Dueling, Plain
from qcade.networks.torsos.small import Small
from qcade.recipe import OnPolicyRecipe, Replay, ReplayRecipe, Rollouts, Updates
from qcade.recipes.dqn import dqn
from qcade.recipes.pqn import pqn
from qcade.replay.prioritized import Prioritized

EXPLORATION = LinearEpsilon(start=1.0, end=0.01, decay_decisions=60_000)
UPDATES = Updates(start_frames=40_000, period_decisions=4, batch_size=32)
TOTAL_FRAMES = 1_000_000


def small_dqn(game: str) -> ReplayRecipe:
    """Q-learning: `dqn` with the small torso."""
    return dataclasses.replace(
        dqn(game),
        name="small-dqn",
        torso=Small(),
        algorithm=DQN(streams=Plain(hidden=256)),
        exploration=EXPLORATION,
        optimizer=Adam(learning_rate=2.5e-4, epsilon=1.5e-4),
        target=HardCopy(period_updates=250),
        replay=Replay(capacity=250_000),
        updates=UPDATES,
        total_frames=TOTAL_FRAMES,
    )


def small_rainbow(game: str) -> ReplayRecipe:
    """The same with Rainbow's parts: C51, double, dueling, n = 3, priorities, noise."""
    return dataclasses.replace(
        small_dqn(game),
        name="small-rainbow",
        algorithm=C51(double=True, streams=Dueling(hidden=256, noisy_sigma=0.5)),
        exploration=NoRandomActions(),
        replay=Replay(capacity=250_000, n_step=3, sampling=Prioritized(exponent=0.5)),
    )


def small_pqn(game: str) -> OnPolicyRecipe:
    """The same with PQN's parts: Q(lambda) from rollouts, normalised layers, no replay."""
    return dataclasses.replace(
        pqn(game),
        name="small-pqn",
        torso=Small(normalization="channel"),
        algorithm=PQN(streams=Plain(hidden=256, normalization="layer")),
        exploration=EXPLORATION,
        optimizer=RAdam(learning_rate=5e-4),
        rollouts=Rollouts(decisions=32, epochs=2, minibatches=8),
        environments=32,
        total_frames=4 * TOTAL_FRAMES,
    )
