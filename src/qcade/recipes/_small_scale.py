"""Scaling recipes down for games as small as Catch: minutes of training instead of days."""

from __future__ import annotations

import dataclasses
from typing import TypeVar, cast

from qcade.agent.exploration import ExponentialEpsilon, LinearEpsilon, LinearEpsilonOfRun
from qcade.agent.optimizers import Adam, RAdam
from qcade.agent.resets import ShrinkAndPerturb
from qcade.agent.targets import HardCopy
from qcade.algorithms.iqn import IQN
from qcade.algorithms.munchausen_iqn import MunchausenIQN
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.networks.torsos.hadamax import Hadamax
from qcade.networks.torsos.impala import Impala
from qcade.networks.torsos.nature import Nature
from qcade.networks.torsos.renormalized import Renormalized
from qcade.networks.torsos.small import Small
from qcade.parts import AnyAlgorithm, Exploration, Game, OptimizerSpec, Torso
from qcade.recipe import Checkpoints, OnPolicyRecipe, Recipe, ReplayRecipe

RecipeType = TypeVar("RecipeType", bound=Recipe)

REPLAY_FRAMES, SLOWER_REPLAY_FRAMES, ON_POLICY_FRAMES = 8_000, 16_000, 30_000


def small_scale(recipe: RecipeType) -> RecipeType:
    """Keep the algorithm; shrink torso, replay memory, exploration, periods and run length.

    Torsos whose first stride is 1 get frames of half the size, if the game has them. Applying it
    twice is the same as once.
    """
    recipe = dataclasses.replace(
        recipe,
        game=_game(recipe),
        torso=_torso(recipe.torso),
        algorithm=_algorithm(recipe.algorithm),
        exploration=_exploration(recipe.exploration),
        optimizer=_optimizer(recipe.optimizer),
        checkpoints=Checkpoints(period_frames=3_000, replay=recipe.checkpoints.replay),
    )
    if isinstance(recipe, OnPolicyRecipe):
        recipe = cast(RecipeType, _small_rollouts(recipe))
    elif isinstance(recipe, ReplayRecipe):
        recipe = cast(RecipeType, _small_replay(recipe))
    return recipe


def _small_rollouts(recipe: OnPolicyRecipe) -> OnPolicyRecipe:
    rollouts, environments, decisions = recipe.rollouts, 16, 16
    size = min(64, rollouts.decisions * recipe.environments // rollouts.minibatches)
    minibatches = environments * decisions // size
    return dataclasses.replace(
        recipe,
        environments=environments,
        rollouts=dataclasses.replace(rollouts, decisions=decisions, minibatches=minibatches),
        total_frames=ON_POLICY_FRAMES,
    )


def _small_replay(recipe: ReplayRecipe) -> ReplayRecipe:
    target, horizon, resets = recipe.target, recipe.replay.horizon, recipe.resets
    takes_longer = isinstance(recipe.algorithm, (IQN, MunchausenIQN, SelfPredictive))
    if isinstance(target, HardCopy) and target.period_updates > 1:
        target = HardCopy(period_updates=100)
    if horizon is not None:
        horizon = dataclasses.replace(horizon, anneal_updates=200)
    if isinstance(resets, ShrinkAndPerturb):
        resets = dataclasses.replace(resets, period_updates=400, last_update=400)
    return dataclasses.replace(
        recipe,
        environments=min(recipe.environments, 8),
        target=target,
        resets=resets,
        replay=dataclasses.replace(recipe.replay, capacity=10_000, horizon=horizon),
        updates=dataclasses.replace(
            recipe.updates,
            start_frames=500,
            period_decisions=4,
            per_period=1,
            batch_size=min(recipe.updates.batch_size, 32),
        ),
        total_frames=SLOWER_REPLAY_FRAMES if takes_longer else REPLAY_FRAMES,
    )


def _game(recipe: Recipe) -> Game:
    reads_every_pixel = isinstance(_bare(recipe.torso), (Impala, Hadamax))
    return recipe.game.resized(42) if reads_every_pixel else recipe.game


def _bare(torso: Torso) -> Torso:
    return torso.torso if isinstance(torso, Renormalized) else torso


def _torso(torso: Torso) -> Torso:
    if isinstance(torso, Renormalized):
        return Renormalized(_torso(torso.torso))
    if isinstance(torso, Nature):
        return Small(normalization="none" if torso.normalization == "none" else "channel")
    return dataclasses.replace(torso, width=1) if isinstance(torso, Impala) else torso


def _algorithm(algorithm: AnyAlgorithm) -> AnyAlgorithm:
    if isinstance(algorithm, (IQN, MunchausenIQN)):
        return dataclasses.replace(algorithm, samples=8)
    return algorithm


def _exploration(exploration: Exploration) -> Exploration:
    if isinstance(exploration, (LinearEpsilon, ExponentialEpsilon)):
        return LinearEpsilon(end=min(0.01, exploration.end), decay_decisions=4_000)
    if isinstance(exploration, LinearEpsilonOfRun):
        return dataclasses.replace(exploration, decay_fraction=0.5)
    return exploration


def _optimizer(optimizer: OptimizerSpec) -> OptimizerSpec:
    if isinstance(optimizer, (Adam, RAdam)):
        return dataclasses.replace(optimizer, learning_rate=5e-4)
    return optimizer
