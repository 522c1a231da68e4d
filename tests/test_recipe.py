"""Recipes: JSON both ways, and errors that name the field."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qcade import parts
from qcade.agent.optimizers import Adam
from qcade.agent.targets import HardCopy
from qcade.algorithms.dqn import DQN
from qcade.algorithms.pqn import PQN
from qcade.algorithms.self_prediction import SelfPredictive
from qcade.algorithms.tutorial import TutorialDQN
from qcade.networks.streams import Dueling
from qcade.networks.torsos.tutorial import TutorialTorso
from qcade.parts import (
    AnyAlgorithm,
    Exploration,
    Game,
    OptimizerSpec,
    ReplayAlgorithm,
    Streams,
    TargetUpdate,
    Torso,
)
from qcade.recipe import (
    Compute,
    Recipe,
    Replay,
    ReplayRecipe,
    Updates,
    self_sufficient_capacity,
    validate,
)
from qcade.recipe.as_json import differences, from_json, to_json
from qcade.recipe.kinds import class_of, kind_of, kinds
from qcade.recipe.spec import WRONG_ALGORITHM_TYPE
from qcade.recipes import find_recipe, make_recipe, recipe_names
from qcade.recipes.dqn import dqn
from qcade.recipes.sprint import sprint
from qcade.types import QcadeError

PONG = dqn("pong")


def edited(path: str, value: object) -> dict[str, Any]:
    """The JSON of a recipe with one field set, at a dotted path."""
    data: dict[str, Any] = json.loads(json.dumps(to_json(PONG)))
    *parents, name = path.split(".")
    part = data
    for parent in parents:
        part[parent] = part[parent] or {}
        part = part[parent]
    part[name] = value
    return data


def lacking(name: str) -> dict[str, Any]:
    return {key: value for key, value in to_json(PONG).items() if key != name}


def refusal(data: Any) -> str:
    with pytest.raises(QcadeError) as caught:
        from_json(data)
    return str(caught.value)


NOT_KINDS: list[object] = [
    *("", "qcade", "qcade:", ":A", "qcade..x:A", "qcade.\0:A", "../x:A", "a" * 500 + ":A"),
    *(["qcade.algorithms.dqn:DQN"], 5, {}, True),
]
"""What a kind may not even look like."""


@dataclass(frozen=True, kw_only=True)
class Unheard(Recipe):
    """Neither of the kinds of recipes that there are."""

    ring_rows = 8
    clips_rewards = False


def test_a_recipe_of_an_unknown_kind_is_refused_by_name() -> None:
    shared = {item.name: getattr(PONG, item.name) for item in dataclasses.fields(Recipe)}
    with pytest.raises(QcadeError, match="Unheard is neither a ReplayRecipe nor an OnPolicyRec"):
        validate(Unheard(**shared))


@pytest.mark.parametrize("game", ["pong", "catch"])
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_json_unchanged(name: str, game: str) -> None:
    recipe = make_recipe(name, game)
    validate(recipe)
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def test_settings_that_are_no_default_survive_json_too() -> None:
    recipe = dataclasses.replace(
        PONG,
        torso=TutorialTorso(strides=(8, 3, 3)),
        algorithm=TutorialDQN(streams=Dueling(hidden=7), output="softmax"),
        optimizer=Adam(max_gradient_norm=None),
        replay=Replay(n_step=5, gamma=1),
    )
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def test_fields_that_are_left_out_take_their_defaults() -> None:
    data = edited("replay", {"capacity": 200_000})
    recipe = from_json(data)
    assert isinstance(recipe, ReplayRecipe)
    assert recipe.replay == Replay(capacity=200_000)
    assert from_json(lacking("seed")).seed == 1


@pytest.mark.parametrize(
    ("path", "value", "also"),
    [
        # Unknown fields, with the nearest known one.
        ("total_frame", 5, "total_frames"),
        ("replay.capcity", 5, "capacity"),
        ("algorithm.streams.hiden", 5, "hidden"),
        # Wrong types.
        ("replay.capacity", 1e6, "expected a whole number"),
        ("replay.n_step", True, "expected a whole number"),
        ("replay.gamma", float("nan"), "a finite number"),
        ("replay.gamma", {}, "expected a number"),
        ("replay.n_step", {"kind": "adam"}, "expected a whole number"),
        ("replay.gamma", [0.9], "[0.9]; expected a number"),
        ("compute.graphs", {}, "expected true or false"),
        ("name", {}, "expected text"),
        ("replay", 5, "expected Replay"),
        ("algorithm", None, "expected ReplayAlgorithm"),
        ("algorithm.error", "absolute", "one of huber, squared"),
        ("optimizer.max_gradient_norm", "ten", "expected"),
        # Out of range.
        ("replay.gamma", 1.5, "from 0 to 1"),
        ("replay.n_step", 0, "at least 1"),
        ("exploration.end", 2, "from 0 to 1"),
        ("algorithm.streams.hidden", 0, "at least 1"),
        ("optimizer.learning_rate", 0, "at least"),
        # Kinds that are unknown or do not belong there.
        ("algorithm.kind", "dqm", "did you mean dqn"),
        ("algorithm.kind", "nature", "unknown kind"),
        ("algorithm.kind", "losses", "cannot be used there"),
        ("algorithm.kind", "qcade.types:Algorithm", "unknown kind"),
        ("game.kind", "qcade.cli.main:main", "use one of atari, catch, gymnasium, random-skip"),
        ("algorithm.streams.kind", "nowhere_at_all:Streams", "--import nowhere_at_all"),
        ("resets.kind", "qcade.parts:Resets", "unknown kind"),
        ("resets.kind", "adam", "unknown kind"),
        ("torso.kind", "qcade.parts:Torso", "unknown kind"),
        ("torso.kind", "qcade.__main__:main", "unknown kind"),
        *(("torso.kind", kind, "") for kind in NOT_KINDS),
        # Types that a part cannot even be made of.
        ("game.game", 5, "expected text"),
        ("game", {"kind": "random-skip", "frame_skip": 4}, "2 values"),
        # Parts that do not go together.
        ("algorithm", {"kind": "pqn"}, WRONG_ALGORITHM_TYPE),
        ("algorithm", {"kind": "self-prediction", "base": {"kind": "pqn"}}, WRONG_ALGORITHM_TYPE),
        ("replay.horizon", {"start_gamma": 1.0}, "must be less than 1"),
    ],
)
def test_errors_name_the_dotted_path(path: str, value: object, also: str) -> None:
    text = refusal(edited(path, value))
    assert path.removesuffix(".kind") in text
    assert also in text


def test_a_recipe_cannot_be_of_an_abstract_kind() -> None:
    for kind in ("qcade.recipe:Recipe", "adam", "qcade.cli.main:main"):
        assert "recipe is of unknown kind" in refusal(edited("kind", kind))
    assert "use one of replay, rollouts" in refusal(edited("kind", None))


@pytest.mark.parametrize("version", [3, 10**30])
def test_a_recipe_of_a_newer_version_is_refused_in_a_sentence(version: int) -> None:
    assert refusal(edited("format", version)) == (
        f"the recipe was written by a newer qcade (format {version}; this one reads up to 2): "
        "install a newer qcade"
    )


@pytest.mark.parametrize("version", [0, -1, "2", None, 2.0, True, [], {}])
def test_a_recipe_of_no_version_is_refused(version: object) -> None:
    assert "no format version that qcade knows" in refusal(edited("format", version))


@pytest.mark.parametrize(
    "interface", [Game, Torso, Streams, AnyAlgorithm, Exploration, OptimizerSpec, TargetUpdate]
)
def test_every_kind_is_of_one_class_and_the_other_way_round(interface: type) -> None:
    found = [class_of(kind, interface, "part") for kind in kinds(interface)]
    assert len(set(found)) == len(found) > 1
    assert [kind_of(cls) for cls in found] == [*kinds(interface)]


def test_interfaces_keep_their_old_names_for_parts_of_ones_own() -> None:
    old = (parts.Algorithm, parts.OptimizerPart, parts.TargetNetwork)
    assert old == (ReplayAlgorithm, OptimizerSpec, TargetUpdate)


def test_parts_without_end_are_refused() -> None:
    kind = "renormalized"
    torso: dict[str, Any] = {"kind": kind}
    for _ in range(100_000):
        torso = {"kind": kind, "torso": torso}
    assert "nested too deeply" in refusal(edited("torso", torso))
    # Taken apart by hand: Python's own way of freeing it may run out of stack.
    while torso:
        torso = torso.pop("torso", {})


@pytest.mark.parametrize("name", ["name", "game", "algorithm", "target"])
def test_a_missing_field_is_named(name: str) -> None:
    assert f"lacks {name}" in refusal(lacking(name))


def test_something_else_than_an_object_is_refused() -> None:
    assert "JSON object" in refusal([1, 2])


@pytest.mark.parametrize(
    ("path", "recipe"),
    [
        ("replay.gamma", dataclasses.replace(PONG, replay=Replay(gamma=3))),
        ("replay.n_step", dataclasses.replace(PONG, replay=Replay(n_step=0))),
        ("target.period_updates", dataclasses.replace(PONG, target=HardCopy(0))),
        ("compute.threads", dataclasses.replace(PONG, compute=Compute(threads=-1))),
    ],
)
def test_recipes_made_in_python_are_checked_alike(path: str, recipe: ReplayRecipe) -> None:
    with pytest.raises(QcadeError, match=path):
        validate(recipe)


@pytest.mark.parametrize(
    ("path", "recipe"),
    [
        ("optimizer.max_gradient_norm", dataclasses.replace(PONG, optimizer=Adam(1, 1, -1.0))),
        ("torso.strides", dataclasses.replace(PONG, torso=TutorialTorso(strides=(0, 2, 2)))),
        # A person's slip that only shows much later: parts in each other's places.
        ("torso", dataclasses.replace(PONG, torso=DQN())),  # type: ignore[arg-type]
        ("total_frames", dataclasses.replace(PONG, total_frames=Replay())),  # type: ignore[arg-type]
    ],
)
def test_bounds_inside_unions_and_tuples_and_the_kinds_of_parts_are_checked(
    path: str, recipe: ReplayRecipe
) -> None:
    with pytest.raises(QcadeError, match=path):
        validate(recipe)


@pytest.mark.parametrize("decisions", [1, 3])
def test_rollouts_that_might_hold_too_few_transitions_are_refused(decisions: int) -> None:
    recipe = sprint("catch")
    rollouts = dataclasses.replace(recipe.rollouts, decisions=decisions, minibatches=9)
    with pytest.raises(QcadeError, match=r"use at (least 2|most 8)"):
        validate(dataclasses.replace(recipe, environments=8, rollouts=rollouts))


def test_an_algorithm_in_a_recipe_that_learns_otherwise_is_refused() -> None:
    for recipe, algorithm in ((PONG, PQN()), (sprint("pong"), DQN())):
        with pytest.raises(QcadeError) as caught:
            validate(dataclasses.replace(recipe, algorithm=algorithm))  # type: ignore[arg-type]
        assert (
            str(caught.value) == f"algorithm is {type(algorithm).__name__}: {WRONG_ALGORITHM_TYPE}"
        )
    data: dict[str, Any] = json.loads(json.dumps(to_json(sprint("pong"))))
    text = refusal(data | {"algorithm": {"kind": "dqn"}})
    assert text.startswith("algorithm is of kind")
    assert WRONG_ALGORITHM_TYPE in text


def test_an_on_policy_algorithm_inside_of_another_is_refused_too() -> None:
    inside = SelfPredictive(PQN())  # type: ignore[arg-type]
    with pytest.raises(QcadeError, match=r"algorithm\.base is PQN\(.*expected ReplayAlgorithm"):
        validate(dataclasses.replace(PONG, algorithm=inside))


def test_a_memory_too_small_to_ever_start_is_refused_with_the_least_that_would_do() -> None:
    # 80,000 emulator frames are 2,500 rows of 8 environments.
    assert self_sufficient_capacity(PONG) == 20_000
    validate(dataclasses.replace(PONG, replay=Replay(capacity=20_000)))
    with pytest.raises(QcadeError, match=r"replay\.capacity.*20,000"):
        validate(dataclasses.replace(PONG, replay=Replay(capacity=19_999)))


def test_updates_start_when_the_recipe_says_but_never_before_a_transition_is_whole() -> None:
    assert PONG.start_rows == 2_500
    at_once = dataclasses.replace(PONG, updates=Updates(start_frames=0), replay=Replay(n_step=5))
    assert at_once.start_rows == 6


PART_MODULE = """
from dataclasses import dataclass
from pathlib import Path
from qcade.networks.torsos.nature import Nature

Path(__file__).with_name("it_ran").touch()

@dataclass(frozen=True)
class MyTorso(Nature):
    width: int = 3
"""


def test_a_strangers_module_is_refused_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_part.py").write_text(PART_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    data = edited("torso", {"kind": "strangers_part:MyTorso", "width": 9})
    text = refusal(data)
    assert "torso" in text
    assert "--import strangers_part" in text
    assert not (tmp_path / "it_ran").exists()
    assert "strangers_part" not in sys.modules

    # The same file is read once the person has imported the module themselves.
    module = importlib.import_module("strangers_part")
    assert (tmp_path / "it_ran").exists()
    assert from_json(data).torso == module.MyTorso(width=9)
    del sys.modules["strangers_part"]


RECIPE_MODULE = """
import dataclasses
from qcade.recipes.dqn import dqn

def mine(game):
    return dataclasses.replace(dqn(game), name="mine", seed=77)

nothing = 5
"""


def test_recipes_are_found_by_name_and_in_modules_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_recipes_for_test.py").write_text(RECIPE_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    assert find_recipe("dqn")("pong") == PONG
    found = find_recipe("own_recipes_for_test:mine")("breakout")
    assert (found.name, found.seed, found.game.slug) == ("mine", 77, "breakout")
    for wrong in ("own_recipes_for_test:yours", "own_recipes_for_test:nothing", "nowhere"):
        with pytest.raises(QcadeError, match=wrong):
            find_recipe(wrong)
    del sys.modules["own_recipes_for_test"]


def test_an_unknown_recipe_names_the_nearest_known_ones() -> None:
    with pytest.raises(QcadeError, match=r'"duelling".*did you mean dueling'):
        find_recipe("duelling")


def test_differences_name_the_changed_paths_and_nothing_else() -> None:
    replay, algorithm = Replay(gamma=0.9), DQN(streams=Dueling())
    other = dataclasses.replace(PONG, seed=2, replay=replay, algorithm=algorithm)
    assert differences(PONG, PONG) == []
    assert differences(PONG, other) == [
        "algorithm.streams.kind: plain -> dueling",
        "replay.gamma: 0.99 -> 0.9",
        "seed: 1 -> 2",
    ]
    one_sided = differences(PONG, dataclasses.replace(PONG, torso=TutorialTorso()))
    assert [line.partition(":")[0] for line in one_sided] == [
        "torso.kind",
        "torso.normalization",
        "torso.strides",
    ]
