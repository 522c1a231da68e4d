"""Runs that start at the same time get folders of their own, and names stay in their folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qcade.files.new_folder import unfinished_folder
from qcade.recipe import Recipe
from qcade.recipe.as_json import to_json
from qcade.recipes import make_recipe
from qcade.runs.create import create_default_run, create_run, fork_path
from qcade.runs.reading.run import open_run
from qcade.runs.reading.status import find_runs
from qcade.types import QcadeError

from command import qcade

CATCH = make_recipe("catch", "catch")


def with_seed(seed: int) -> Recipe:
    return dataclasses.replace(CATCH, seed=seed)


def test_every_one_of_many_new_runs_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda s: create_default_run(folder, with_seed(s)), range(8)))
    assert {run.path.name for run in made} == {f"catch-catch-{n}" for n in range(1, 9)}
    assert [run.recorded_recipe() for run in made] == [with_seed(seed) for seed in range(8)]
    # Nothing half-made is left, nor seen.
    assert sorted(folder.iterdir()) == sorted(run.path for run in made)


MAKES_A_RUN = """
import dataclasses, sys
from pathlib import Path
from qcade.recipes import make_recipe
from qcade.runs.create import create_default_run
recipe = dataclasses.replace(make_recipe("catch", "catch"), seed=int(sys.argv[2]))
sys.stdin.readline()
print(create_default_run(Path(sys.argv[1]), recipe).path.name)
"""


def test_processes_that_start_together_do_not_meet(tmp_path: Path) -> None:
    def process(seed: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", MAKES_A_RUN, str(tmp_path / "runs"), str(seed)]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)

    processes = [process(seed) for seed in (1, 2)]
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    assert {each.communicate()[0].strip() for each in processes} == {
        "catch-catch-1",
        "catch-catch-2",
    }


def test_of_many_that_make_the_same_run_one_makes_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: create_default_run(tmp_path, CATCH), range(8)))
    assert {run.path for run in made} == {tmp_path / "catch-catch-1"}
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: create_run(tmp_path / "a" / "b", CATCH), range(8)))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_of_many_that_want_one_folder_for_different_runs_one_gets_it(tmp_path: Path) -> None:
    def make(seed: int) -> str:
        try:
            return str(create_run(tmp_path / "out", with_seed(seed)).recorded_recipe().seed)
        except QcadeError as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(make, range(8)))
    assert sum(answer.isdecimal() for answer in answers) == 1
    assert sum("holds another run" in answer for answer in answers) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_recipe_goes_on_in_its_own_folder_and_others_pass_it_by(tmp_path: Path) -> None:
    paths = [create_default_run(tmp_path, with_seed(seed)).path for seed in (1, 2, 3)]
    assert create_default_run(tmp_path, with_seed(2)).path == paths[1]
    # What is no run, or cannot be read, keeps its number.
    shutil.rmtree(paths[0])
    paths[0].write_text("a file")
    (paths[2] / "recipe.json").write_text("{")
    (tmp_path / "catch-catch-4").mkdir()
    assert create_default_run(tmp_path, with_seed(3)).path.name == "catch-catch-5"
    assert paths[0].read_text() == "a file"


def test_half_a_run_is_seen_by_nobody(tmp_path: Path) -> None:
    with unfinished_folder(tmp_path / "catch-catch-1") as unfinished:
        create_run(unfinished, CATCH)
        assert find_runs(tmp_path) == []


def test_a_folder_that_was_made_for_a_run_is_used(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert create_run(tmp_path / "mine", CATCH).recorded_recipe() == CATCH
    (tmp_path / "file").touch()
    with pytest.raises(QcadeError, match="file is not a folder"):
        create_run(tmp_path / "file", CATCH)


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    compute = dataclasses.replace(CATCH.compute, device="cuda:99")
    for make in (create_default_run, lambda f, r: create_run(f / "run", r)):
        with pytest.raises(QcadeError):
            make(tmp_path, dataclasses.replace(CATCH, compute=compute))
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/b", "..", "", "con", "x" * 300])
def test_a_recipes_name_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    recipe = dataclasses.replace(CATCH, name=name)
    folder = tmp_path / "runs"
    made = create_default_run(folder, recipe)
    assert [path.parent for path in find_runs(tmp_path)] == [folder]
    assert made.path.name.startswith("catch-")
    assert made.path.name.endswith("-1")
    # It is found again, and opens with the name that it was given.
    assert create_default_run(folder, recipe).path == made.path
    assert open_run(made.path).recipe().name == name
    assert fork_path(made.path).parent == folder


def test_a_recipe_file_with_a_path_as_its_name_trains_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {**to_json(CATCH), "name": "../../evil"}
    here = tmp_path / "a" / "b" / "c"
    here.mkdir(parents=True)
    # As PowerShell's > writes it.
    (here / "mine.json").write_text(json.dumps(data), encoding="utf-16")
    monkeypatch.chdir(here)
    words = "train --recipe mine.json --frames 80 --compute.threads 1"
    for _ in range(2):
        answer = qcade(words, capsys)
        assert answer.code == 0, answer.err
    assert find_runs(tmp_path) == [here / "runs" / "catch-evil-1"]
    assert qcade("fork runs/catch-evil-1 --frames 160", capsys).code == 0
    assert find_runs(tmp_path)[1:] == [here / "runs" / "catch-evil-1-fork-1"]


def test_forks_that_are_made_together_get_folders_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qcade.runs.forking import fork_run

    words = ["train", "catch", "--frames", "80", "--compute.threads", "1"]
    assert qcade([*words, "--out", str(tmp_path / "parent")], capsys).code == 0
    recipe = dataclasses.replace(open_run(tmp_path / "parent").recipe(), total_frames=160)
    with ThreadPoolExecutor(4) as threads:
        made = list(
            threads.map(lambda _: fork_run(tmp_path / "parent", "newest", recipe, None), range(4))
        )
    assert {fork.directory.path.name for fork in made} == {f"parent-fork-{n}" for n in range(1, 5)}
    with pytest.raises(QcadeError, match="parent-fork-1 already exists"):
        fork_run(tmp_path / "parent", "newest", recipe, tmp_path / "parent-fork-1")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
