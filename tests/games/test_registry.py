from __future__ import annotations

import gymnasium
import pytest

import odd_environments  # noqa: F401
from qcade.games.registry import find_spec, frames_per_decision, full_id
from qcade.types import QcadeError


@pytest.mark.parametrize(
    ("env_id", "full"),
    [
        ("ALE/Breakout-v5", "ALE/Breakout-v5"),
        ("ALE/Breakout", "ALE/Breakout-v5"),
        ("Breakout", "Breakout-v4"),
        ("odd_environments:Odd-v0", "odd_environments:Odd-v0"),
        ("odd_environments:Odd", "odd_environments:Odd-v1"),
    ],
)
def test_every_spelling_is_resolved_to_one_id(env_id: str, full: str) -> None:
    assert full_id(env_id) == full
    assert full_id(full) == full


@pytest.mark.parametrize(
    ("env_id", "sentence"),
    [
        ("odd_environments:Od-v0", "did you mean .*Odd-v0"),
        ("no_such_module:X-v0", 'names the module "no_such_module"'),
        ("a:b:c", "cannot be imported|not the id"),
        ("", "not the id|knows no environment"),
        (":", "cannot be imported|not the id"),
        ("ALE/Breakout-v99", "knows no environment"),
        ("..:X-v0", "cannot be imported"),
        ("X-v0\n", "not the id|knows no environment"),
    ],
)
def test_what_is_no_environment_is_said_in_a_sentence(env_id: str, sentence: str) -> None:
    with pytest.raises(QcadeError, match=sentence):
        find_spec(env_id)


@pytest.mark.parametrize(
    ("env_id", "arguments", "frames"),
    [
        ("ALE/Breakout-v5", {}, 4),
        ("ALE/Breakout-v5", {"frameskip": 2}, 2),
        ("ALE/Breakout-v5", {"frameskip": [2, 5]}, 3),
        ("Breakout-v4", {}, 3),
        ("BreakoutNoFrameskip-v4", {}, 1),
        ("odd_environments:Odd-v0", {}, 1),
    ],
)
def test_frames_of_a_decision_are_those_of_the_emulator(
    env_id: str, arguments: dict[str, int], frames: int
) -> None:
    assert frames_per_decision(find_spec(env_id), {**arguments}) == frames


def test_a_module_that_fails_is_named(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "broken_games.py").write_text("raise RuntimeError('no display')\n")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(QcadeError, match=r"module broken_games .* raised RuntimeError"):
        find_spec("broken_games:X-v0")
    assert "X-v0" not in gymnasium.registry
