"""The variants of `dqn`: one part of it is another, and everything else stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from qcade.agent.optimizers import Adam
from qcade.algorithms.c51 import C51
from qcade.algorithms.dqn import DQN
from qcade.algorithms.hl_gauss import HLGauss
from qcade.algorithms.iqn import IQN
from qcade.algorithms.munchausen_dqn import MunchausenDQN
from qcade.algorithms.munchausen_iqn import MunchausenIQN
from qcade.algorithms.qr_dqn import QRDQN
from qcade.networks.streams import Dueling
from qcade.parts import Algorithm, OptimizerPart, Sampling
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn
from qcade.replay.prioritized import Prioritized
from qcade.replay.samplers import Uniform


@dataclass(frozen=True)
class Variant:
    """What a variant has in place of `dqn`'s."""

    summary: str
    """One sentence with the paper, then where the figures are from."""
    algorithm: Algorithm
    """Head and loss."""
    optimizer: OptimizerPart = field(default_factory=Adam)
    """How gradients become steps."""
    sampling: Sampling = field(default_factory=Uniform)
    """Which transitions an update sees."""


VARIANTS: dict[str, Variant] = {
    "double-dqn": Variant(
        "`dqn` whose next action is chosen by the online network (van Hasselt et al. 2016).",
        DQN(double=True),
    ),
    "dueling": Variant(
        "`double-dqn` with separate streams for state value and advantages (Wang et al. 2016).",
        DQN(double=True, streams=Dueling()),
    ),
    "prioritized": Variant(
        """`double-dqn` that replays surprising transitions more often (Schaul et al. 2016).

        Figures: the paper's proportional variant, alpha 0.6, beta from 0.4 to 1, and a quarter of
        the step size.""",
        DQN(double=True),
        Adam(learning_rate=2.5e-5),
        Prioritized(exponent=0.6, importance_start=0.4, importance_end=1.0),
    ),
    "c51": Variant(
        """`dqn` that learns the distribution of returns on 51 atoms (Bellemare et al. 2017).

        Figures: the paper's atoms and Adam, as in dqn_zoo.""",
        C51(),
        Adam(learning_rate=2.5e-4, epsilon=0.01 / 32),
    ),
    "qr-dqn": Variant(
        """`dqn` that learns 200 quantiles of the return (Dabney et al. 2018a).

        Figures: the paper's quantiles and Adam.""",
        QRDQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "iqn": Variant(
        """`dqn` that learns the whole quantile function of the return (Dabney et al. 2018b).

        Figures: the paper's samples and Adam.""",
        IQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "munchausen-dqn": Variant(
        """`dqn` with soft values and a bonus for likely actions (Vieillard et al. 2020).

        Figures: the paper's temperature, alpha, clipping and Adam.""",
        MunchausenDQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "munchausen-iqn": Variant(
        """`iqn` with soft values and a bonus for likely actions (Vieillard et al. 2020).

        Figures: the paper's temperature, alpha, clipping, samples and Adam.""",
        MunchausenIQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "hl-gauss": Variant(
        """`dqn` with cross-entropy to smoothed values for a loss (Farebrother et al. 2024).

        Figures: the paper's bins and smoothing, Dopamine's Adam.""",
        HLGauss(),
        Adam(learning_rate=6.25e-5, epsilon=1.5e-4),
    ),
}


def recipe_function(name: str) -> Callable[[str], ReplayRecipe]:
    """The function from a game to the recipe of a variant; its docstring is the summary."""
    variant = VARIANTS[name]

    def make(game: str) -> ReplayRecipe:
        recipe = dqn(game)
        return sized(
            dataclasses.replace(
                recipe,
                name=name,
                algorithm=variant.algorithm,
                optimizer=variant.optimizer,
                replay=dataclasses.replace(recipe.replay, sampling=variant.sampling),
            )
        )

    make.__doc__ = variant.summary
    return make
