"""New folders appear whole and under names of their own, however many are made at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qcade.files.new_folder import first_free_folder, make_folder, take_name, unfinished_folder
from qcade.types import QcadeError


def test_a_folder_is_hidden_until_it_has_its_name(tmp_path: Path) -> None:
    with unfinished_folder(tmp_path / "new") as unfinished:
        (unfinished / "file").touch()
        assert unfinished.parent == tmp_path
        assert unfinished.name.startswith(".")
        assert take_name(unfinished, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new" / "file").is_file()


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with unfinished_folder(tmp_path / "new") as unfinished:
            (unfinished / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["file", "folder", "full folder", "link to nothing"])
def test_nothing_is_ever_replaced(tmp_path: Path, what: str) -> None:
    path = tmp_path / "taken"
    if what == "file":
        path.write_text("mine")
    elif what == "link to nothing":
        try:
            path.symlink_to(tmp_path / "nowhere")
        except OSError:
            pytest.skip("links cannot be made here")
    else:
        path.mkdir()
        if what == "full folder":
            (path / "mine").touch()
    before = os.lstat(path)
    with unfinished_folder(path) as unfinished:
        assert not take_name(unfinished, path)
        assert unfinished.is_dir()
    assert os.lstat(path).st_ino == before.st_ino
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_of_many_that_want_a_name_one_gets_it(tmp_path: Path) -> None:
    def want(number: int) -> bool:
        with unfinished_folder(tmp_path / "name") as unfinished:
            (unfinished / f"{number}").touch()
            return take_name(unfinished, tmp_path / "name")

    with ThreadPoolExecutor(16) as threads:
        won = list(threads.map(want, range(64)))
    assert sum(won) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["name"]
    assert [path.name for path in (tmp_path / "name").iterdir()] == [f"{won.index(True)}"]


def test_many_that_want_any_name_all_get_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(lambda _: first_free_folder(tmp_path / "all", "a"), range(64)))
    assert len({*made}) == 64
    assert {path.name for path in made} == {"a", *(f"a-{n}" for n in range(2, 65))}


KILLED = """
import os, sys
from pathlib import Path
from qcade.files.new_folder import unfinished_folder
with unfinished_folder(Path(sys.argv[1])) as unfinished:
    (unfinished / "half").touch()
    os._exit(9)
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_builds_is_not(
    tmp_path: Path,
) -> None:
    process = [sys.executable, "-c", KILLED, str(tmp_path / "new")]
    assert subprocess.run(process, check=False).returncode == 9
    (left,) = tmp_path.iterdir()
    (tmp_path / ".other.tmp").mkdir()
    (tmp_path / ".somebody.elsewhere.1.00000000.tmp").mkdir()
    with unfinished_folder(tmp_path / "one") as one:
        assert not left.exists()
        with unfinished_folder(tmp_path / "two"):
            assert one.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {
        ".other.tmp",
        ".somebody.elsewhere.1.00000000.tmp",
    }


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "a")
    make_folder(tmp_path / "a")
    (tmp_path / "b").touch()
    with pytest.raises(QcadeError, match="b is a file where a folder belongs"):
        make_folder(tmp_path / "b")
