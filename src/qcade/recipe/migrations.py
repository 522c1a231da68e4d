"""Migrating recipes of earlier versions to the current format, one step per version.

Formats of recipe.json (and of the recipe in a checkpoint's state.json):

1. Up to 8f59885: no `format`; the kind of a part is its module and class at that time.
2. Stable kinds; `double` is a field of `dqn` and `c51`.
"""

from __future__ import annotations

from collections.abc import Callable

from qcade.files.versions import check_version
from qcade.types import JSON

RECIPE_FORMAT = 2

KINDS_OF_FORMAT_1: dict[str, dict[str, JSON]] = {
    "qcade.recipe:ReplayRecipe": {"kind": "replay"},
    "qcade.recipe:OnPolicyRecipe": {"kind": "rollouts"},
    "qcade.recipe:Checkpoints": {},
    "qcade.recipe:Compute": {},
    "qcade.recipe:Evaluations": {},
    "qcade.recipe:Horizon": {},
    "qcade.recipe:Replay": {},
    "qcade.recipe:Rollouts": {},
    "qcade.recipe:Updates": {},
    "qcade.games.atari:Atari": {"kind": "atari"},
    "qcade.games.catch:Catch": {"kind": "catch"},
    "qcade.games.gymnasium:GymnasiumGame": {"kind": "gymnasium"},
    "qcade.games.random_skip:RandomSkipAtari": {"kind": "random-skip"},
    "qcade.networks.torsos.coarse:Coarse": {"kind": "coarse"},
    "qcade.networks.torsos.hadamax:Hadamax": {"kind": "hadamax"},
    "qcade.networks.torsos.impala:Impala": {"kind": "impala"},
    "qcade.networks.torsos.nature:Nature": {"kind": "nature"},
    "qcade.networks.torsos.renormalized:Renormalized": {"kind": "renormalized"},
    "qcade.networks.torsos.small:Small": {"kind": "small"},
    "qcade.networks.torsos.tutorial:TutorialTorso": {"kind": "tutorial"},
    "qcade.networks.streams:Dueling": {"kind": "dueling"},
    "qcade.networks.streams:Plain": {"kind": "plain"},
    "qcade.networks.streams:SharedDueling": {"kind": "shared-dueling"},
    "qcade.algorithms.c51:C51": {"kind": "c51"},
    "qcade.algorithms.double_c51:DoubleC51": {"kind": "c51", "double": True},
    "qcade.algorithms.double_dqn:DoubleDQN": {"kind": "dqn", "double": True},
    "qcade.algorithms.dqn:DQN": {"kind": "dqn"},
    "qcade.algorithms.hl_gauss:HLGauss": {"kind": "hl-gauss"},
    "qcade.algorithms.iqn:IQN": {"kind": "iqn"},
    "qcade.algorithms.munchausen_dqn:MunchausenDQN": {"kind": "munchausen-dqn"},
    "qcade.algorithms.munchausen_iqn:MunchausenIQN": {"kind": "munchausen-iqn"},
    "qcade.algorithms.pqn:PQN": {"kind": "pqn"},
    "qcade.algorithms.qr_dqn:QRDQN": {"kind": "qr-dqn"},
    "qcade.algorithms.self_prediction:SelfPredictive": {"kind": "self-prediction"},
    "qcade.algorithms.tutorial:TutorialDQN": {"kind": "tutorial"},
    "qcade.agent.exploration:EpsilonLadder": {"kind": "ladder"},
    "qcade.agent.exploration:ExponentialEpsilon": {"kind": "exponential"},
    "qcade.agent.exploration:LinearEpsilon": {"kind": "linear"},
    "qcade.agent.exploration:LinearEpsilonOfRun": {"kind": "linear-of-run"},
    "qcade.agent.exploration:NoRandomActions": {"kind": "none"},
    "qcade.agent.optimizers:Adam": {"kind": "adam"},
    "qcade.agent.optimizers:RAdam": {"kind": "radam"},
    "qcade.agent.resets:ShrinkAndPerturb": {"kind": "shrink-and-perturb"},
    "qcade.agent.targets:HardCopy": {"kind": "hard-copy"},
    "qcade.agent.targets:MovingAverage": {"kind": "moving-average"},
    "qcade.agent.targets:NoTarget": {"kind": "none"},
    "qcade.replay.prioritized:Prioritized": {"kind": "prioritized"},
    "qcade.replay.samplers:Uniform": {"kind": "uniform"},
}
"""The current form of each class of format 1; some parts have no kind any more."""


def migrated_recipe(data: dict[str, JSON], where: str = "the recipe") -> dict[str, JSON]:
    """Return a recipe of any known format in the current one, without its `format`.

    Raises QcadeError if a newer qcade wrote it.
    """
    data = dict(data)
    version = check_version(data.pop("format", 1), RECIPE_FORMAT, where)
    for migrate in _RECIPE_STEPS[version - 1 :]:
        data = migrate(data)
    return data


def _kinds_from_format_1(data: dict[str, JSON]) -> dict[str, JSON]:
    migrated: dict[str, JSON] = {}
    for name, value in data.items():
        if name == "kind" and isinstance(value, str) and value in KINDS_OF_FORMAT_1:
            migrated |= KINDS_OF_FORMAT_1[value]
        else:
            migrated[name] = _kinds_from_format_1(value) if isinstance(value, dict) else value
    return migrated


_RECIPE_STEPS: tuple[Callable[[dict[str, JSON]], dict[str, JSON]], ...] = (_kinds_from_format_1,)
