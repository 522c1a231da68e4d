"""The page about an algorithm of one's own keeps what it promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from qcade.algorithms.losses import q_learning_target
from qcade.parts import ReplayAlgorithm
from qcade.recipes import find_recipe
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.types import Batch

from command import qcade

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "library.md").read_text()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's module as a file in the working folder."""
    [source] = [
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
        if block.startswith('"""')
    ]
    path = tmp_path / "mellowmax.py"
    path.write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop("mellowmax", None)


def test_one_file_is_enough_to_train_resume_and_evaluate(
    module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "--frames 640 --checkpoints.period-frames 600 --compute.threads 1"
    [train] = re.findall(r"^qcade (train catch --recipe mellowmax.*)$", PAGE, flags=re.MULTILINE)
    answer = qcade(f"{train} {small}", capsys)
    assert answer.code == 0, answer.err
    run = module.parent / "runs" / "mellow"
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["algorithm"]["kind"] == "mellowmax:Mellowmax"
    assert recipe["algorithm"]["omega"] == 10
    [evaluate] = re.findall(r"^qcade (--import mellowmax evaluate .*)$", PAGE, flags=re.MULTILINE)
    answer = qcade(f"{evaluate} --episodes 4 --json", capsys)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["episodes"] == 4
    answer = qcade("--import mellowmax resume runs/mellow --frames 680", capsys)
    assert answer.code == 0, answer.err
    assert int(list_checkpoints(run / "checkpoints")[-1].name) == 680
    answer = qcade(f"train catch --recipe mellowmax:mellowmax --algorithm.omega 0 {small}", capsys)
    assert answer.code == 2
    assert "algorithm.omega is 0.0" in answer.err


def test_it_is_q_learning_where_mellowmax_is_the_maximum(module: Path) -> None:
    recipe = find_recipe("mellowmax:mellowmax")("catch")
    algorithm = type(recipe.algorithm)(omega=1e4)  # type: ignore[call-arg]
    assert isinstance(algorithm, ReplayAlgorithm)

    def network(values: torch.Tensor):  # type: ignore[no-untyped-def]
        return lambda observations, generator: type("Values", (), {"q_values": values})

    zeros = torch.zeros(2, 1, 1, 1, dtype=torch.uint8)
    q_t = torch.tensor([[1.0, 3.0, 2.0], [0.5, 0.1, -4.0]])
    reward, discount = torch.tensor([0.5, -1.0]), torch.tensor([0.9, 0.0])
    batch = Batch(zeros, torch.tensor([0, 1]), reward, discount, zeros)
    loss = algorithm.loss(network(torch.zeros(2, 3)), network(q_t), batch, None)
    goal = q_learning_target(reward, discount, q_t)
    torch.testing.assert_close(loss.priority, goal.abs(), atol=1e-3, rtol=0)


def test_the_change_is_as_long_as_the_page_says(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert f"mellowmax.py | {lines} {'+' * lines}" in PAGE
    assert f"1 file changed, {lines} insertions(+)" in PAGE
    # It is formatted and clean by the project's own rules.
    for words in (["format", "--check"], ["check", "--ignore", "I001"]):
        command = [sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml")]
        subprocess.run([*command, str(module)], check=True, capture_output=True)
