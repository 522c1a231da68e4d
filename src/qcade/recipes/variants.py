"""Variants of `dqn`: recipes that replace some of its parts."""

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
from qcade.parts import OptimizerSpec, ReplayAlgorithm, Sampling
from qcade.recipe import ReplayRecipe
from qcade.recipes._games import sized
from qcade.recipes.dqn import dqn
from qcade.replay.prioritized import Prioritized
from qcade.replay.samplers import Uniform


@dataclass(frozen=True)
class Variant:
    """The parts that a variant replaces."""

    summary: str
    """One sentence with the paper, then the source of the values."""
    algorithm: ReplayAlgorithm
    """The algorithm."""
    optimizer: OptimizerSpec = field(default_factory=Adam)
    """The optimizer."""
    sampling: Sampling = field(default_factory=Uniform)
    """How transitions are sampled."""


VARIANTS: dict[str, Variant] = {
    "double-dqn": Variant(
        "`dqn` whose online network chooses the next action (van Hasselt et al. 2016).",
        DQN(double=True),
    ),
    "dueling": Variant(
        "`double-dqn` with separate streams for state value and advantages (Wang et al. 2016).",
        DQN(double=True, streams=Dueling()),
    ),
    "prioritized": Variant(
        """`double-dqn` with prioritised sampling of transitions (Schaul et al. 2016).

        Values: the paper's proportional variant, alpha 0.6, beta from 0.4 to 1, and a quarter of
        the learning rate.""",
        DQN(double=True),
        Adam(learning_rate=2.5e-5),
        Prioritized(exponent=0.6, importance_start=0.4, importance_end=1.0),
    ),
    "c51": Variant(
        """`dqn` that learns the distribution of returns on 51 atoms (Bellemare et al. 2017).

        Values: the paper's atoms and Adam, as in dqn_zoo.""",
        C51(),
        Adam(learning_rate=2.5e-4, epsilon=0.01 / 32),
    ),
    "qr-dqn": Variant(
        """`dqn` that learns 200 quantiles of the return (Dabney et al. 2018a).

        Values: the paper's quantiles and Adam.""",
        QRDQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "iqn": Variant(
        """`dqn` that learns the whole quantile function of the return (Dabney et al. 2018b).

        Values: the paper's samples and Adam.""",
        IQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "munchausen-dqn": Variant(
        """`dqn` with soft values and a bonus for likely actions (Vieillard et al. 2020).

        Values: the paper's temperature, alpha, clipping and Adam.""",
        MunchausenDQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "munchausen-iqn": Variant(
        """`iqn` with soft values and a bonus for likely actions (Vieillard et al. 2020).

        Values: the paper's temperature, alpha, clipping, samples and Adam.""",
        MunchausenIQN(),
        Adam(learning_rate=5e-5, epsilon=0.01 / 32),
    ),
    "hl-gauss": Variant(
        """`dqn` trained by cross-entropy with Gaussian-smoothed targets (Farebrother et al. 2024).

        Values: the paper's bins and smoothing, Dopamine's Adam.""",
        HLGauss(),
        Adam(learning_rate=6.25e-5, epsilon=1.5e-4),
    ),
}


def recipe_function(name: str) -> Callable[[str], ReplayRecipe]:
    """Return the recipe function of a variant; its docstring is the summary."""
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
