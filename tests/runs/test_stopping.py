"""A stop that is asked for while a resume plays the tape again."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from qcade.games.catch import Catch, CatchEnvironments
from qcade.games.seeds import environment_seeds
from qcade.recipe import Compute, ReplayRecipe
from qcade.recipe.as_json import to_json
from qcade.recipes import make_recipe
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.types import IntArray, TimeStep

from command import qcade

ROWS_BEFORE_THE_SIGNAL = 12


@dataclass(frozen=True)
class SignallingCatch(Catch):
    """Catch in which the process is sent a signal, once the file `notes` exists."""

    notes: str = ""
    number: int = 0

    def open(self, environments: int, seed: int, threads: int = 0) -> CatchEnvironments:
        return Signalling(environment_seeds(seed, environments), self)


class Signalling(CatchEnvironments):
    def __init__(self, seeds: IntArray, game: SignallingCatch) -> None:
        super().__init__(seeds)
        self.game, self.rows = game, 0

    def recv(self) -> TimeStep:
        self.rows += 1
        notes = Path(self.game.notes)
        if notes.exists() and self.rows > 2:
            notes.write_text(str(self.rows))
            if self.rows == ROWS_BEFORE_THE_SIGNAL:
                signal.raise_signal(self.game.number)
        return super().recv()


@pytest.mark.skipif(os.name == "nt", reason="signals of Windows differ")
@pytest.mark.parametrize(
    ("name", "state"),
    [("SIGTERM", "interrupted"), ("SIGUSR1", "interrupted"), ("SIGINT", "stopped")],
)
def test_it_is_answered_at_the_next_row_and_changes_nothing(
    name: str, state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, notes, file = tmp_path / "run", tmp_path / "notes", tmp_path / "recipe.json"
    recipe = make_recipe("dqn", "catch")
    assert isinstance(recipe, ReplayRecipe)
    game = SignallingCatch(notes=str(notes), number=int(getattr(signal, name)))
    updates = dataclasses.replace(recipe.updates, start_frames=310)
    recipe = dataclasses.replace(
        recipe,
        game=game,
        total_frames=320,
        updates=updates,
        compute=Compute(device="cpu", threads=1),
    )
    file.write_text(json.dumps(to_json(recipe)))
    assert qcade(["train", "--recipe", str(file), "--out", str(run)], capsys).code == 0
    before = {
        path: path.read_bytes() for path in run.rglob("*") if path.suffix in (".bin", ".jsonl")
    }
    checkpoints = list_checkpoints(run / "checkpoints")
    notes.touch()
    answer = qcade(["resume", str(run), "--frames", "640"], capsys)
    assert answer.code == 75
    assert int(notes.read_text()) == ROWS_BEFORE_THE_SIGNAL
    assert f"qcade resume {run}" in answer.out
    assert list_checkpoints(run / "checkpoints") == checkpoints
    assert {path: path.read_bytes() for path in before} == before
    assert json.loads((run / "progress.json").read_text())["state"] == state
    notes.unlink()
    assert qcade(["resume", str(run)], capsys).code == 0
    assert int(list_checkpoints(run / "checkpoints")[-1].name) == 640
