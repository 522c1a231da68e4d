"""sprint: good play as soon as possible on a few CPU cores."""

from __future__ import annotations

from qcade.agent.exploration import LinearEpsilon
from qcade.agent.optimizers import Adam
from qcade.algorithms.pqn import PQN
from qcade.games.finding import find_game
from qcade.networks.streams import Plain
from qcade.networks.torsos.coarse import Coarse
from qcade.recipe import Compute, OnPolicyRecipe, Rollouts
from qcade.recipes._games import sized


def sprint(game: str) -> OnPolicyRecipe:
    """PQN with longer traces on frames of half the size: minutes of training instead of days.

    Values: found by experiment, docs/results/sprint.md.
    """
    return sized(full_size(game))


def full_size(game: str) -> OnPolicyRecipe:
    """`sprint` with its values for Atari, for any game."""
    return OnPolicyRecipe(
        name="sprint",
        game=find_game(game).resized(42),
        torso=Coarse(normalization="channel"),
        algorithm=PQN(streams=Plain(hidden=256, normalization="layer"), trace_decay=0.9),
        exploration=LinearEpsilon(end=0.01, decay_decisions=100_000),
        optimizer=Adam(learning_rate=3e-4, anneals=True),
        rollouts=Rollouts(decisions=32, epochs=2, minibatches=32, overlap=True),
        # One core learns while another plays, which takes half to two thirds of the time.
        compute=Compute(device="cpu", threads=1),
        environments=32,
        total_frames=4_000_000,
    )
