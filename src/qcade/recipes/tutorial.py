"""tutorial: the agent of a well-known Keras tutorial."""

from __future__ import annotations

from qcade.agent.exploration import ExponentialEpsilon
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.tutorial import TutorialDQN
from qcade.games.atari import Atari
from qcade.games.finding import find_game
from qcade.games.random_skip import RandomSkipAtari
from qcade.networks.torsos.tutorial import TutorialTorso
from qcade.recipe import Checkpoints, Replay, ReplayRecipe, Updates
from qcade.recipes._games import sized


def tutorial(game: str) -> ReplayRecipe:
    """The agent of a well-known Keras tutorial, with its values but without its mistakes.

    docs/from-the-tutorial.md lists each mistake and the setting that restores it.
    """
    found = find_game(game)
    return sized(
        ReplayRecipe(
            name="tutorial",
            game=RandomSkipAtari(game=game) if isinstance(found, Atari) else found,
            torso=TutorialTorso(),
            algorithm=TutorialDQN(),
            exploration=ExponentialEpsilon(start=1.0, end=0.01, rate_per_decision=3e-5),
            optimizer=Adam(learning_rate=2.5e-4, epsilon=1e-7, max_gradient_norm=None),
            target=HardCopy(period_updates=1),
            replay=Replay(capacity=1_000_000, gamma=0.9, clip_rewards=False),
            updates=Updates(start_frames=64 * 3, period_decisions=1, batch_size=64),
            checkpoints=Checkpoints(period_frames=0, period_episodes=1),
            environments=1,
        )
    )
