"""hadamax-pqn: pqn with the Hadamax torso."""

from __future__ import annotations

import dataclasses

from qcade.algorithms.pqn import PQN
from qcade.networks.streams import Plain
from qcade.networks.torsos.hadamax import Hadamax
from qcade.recipe import OnPolicyRecipe
from qcade.recipes._games import sized
from qcade.recipes.pqn import pqn


def hadamax_pqn(game: str) -> OnPolicyRecipe:
    """`pqn` with a torso of Hadamard products and max-pooling (Kooi et al. 2025)."""
    return sized(
        dataclasses.replace(
            pqn(game),
            name="hadamax-pqn",
            torso=Hadamax(),
            algorithm=PQN(streams=Plain(normalization="layer", activation="gelu")),
        )
    )
