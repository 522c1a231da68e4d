"""A run whose own ROM file was moved: the ROM is found by its checksum, or named by --rom."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from ale_py import roms

import qcade as library
from qcade.cli.main import run_command
from qcade.games import roms as own_roms
from qcade.games.atari import Atari
from qcade.recipe import Recipe
from qcade.runs.reading.run import open_run
from qcade.types import QcadeError

from command import Answer, qcade

PONG_MD5 = "60e0ea3cbe0913d39803477945e9e5ec"
BREAKOUT_MD5 = "f34f08e5eb96e500e851a80be3277a56"
SHORT = (
    "--frames 400 --updates.start-frames 384 --replay.capacity 400 --compute.threads 1 "
    "--environments 2 --game.max-episode-frames 40"
).split()
OPENING_COMMANDS = {
    "evaluate": "evaluate {run} --episodes 1",
    "video": "video {run} --seconds 1",
    "video of an episode": "video {run} --episode first",
    "montage": "video {run} --montage first,last --seconds 1",
    "verify": "verify {run}",
    "episodes": "episodes {run}",
    "resume": "resume {run} --frames 424",
    "fork": "fork {run} --frames 448",
}


def bundled(game: str) -> Path:
    return Path(str(roms.__file__)).parent / f"{game}.bin"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in runs/pong that was trained from roms/mine.a26."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "roms").mkdir()
    shutil.copy(bundled("pong"), folder / "roms" / "mine.a26")
    words = ["train", "pong", "--rom", str(folder / "roms" / "mine.a26"), *SHORT]
    assert run_command([*words, "--out", str(folder / "runs" / "pong")]) == 0
    return folder


@pytest.fixture
def moved(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that run, of whose ROM there is none left, not even in ale-py."""
    (tmp_path / "no roms").mkdir()
    monkeypatch.setattr(own_roms, "_ALE_PY_ROMS", tmp_path / "no roms")
    monkeypatch.delenv("ALE_ROMS_DIR", raising=False)
    run = tmp_path / "runs" / "pong"
    shutil.copytree(trained / "runs" / "pong", run)
    set_game(run, rom=str(tmp_path / "roms" / "mine.a26"))
    (tmp_path / "roms").mkdir()
    return run


def set_game(run: Path, **fields: str | None) -> None:
    """Change what recipe.json says of the game; None takes a field out."""
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["game"] |= fields
    for name in [name for name, value in fields.items() if value is None]:
        del recipe["game"][name]
    (run / "recipe.json").write_text(json.dumps(recipe))


def game_of(recipe: Recipe) -> Atari:
    assert isinstance(recipe.game, Atari)
    return recipe.game


def present_rom(run: Path) -> Path:
    return Path(str(game_of(open_run(run).recipe()).rom))


def run_all(
    run: Path,
    rom: Path | None,
    capsys: pytest.CaptureFixture[str],
    commands: Iterable[str] = OPENING_COMMANDS,
) -> dict[str, Answer]:
    """Run commands that open the game of a run."""
    named = [] if rom is None else ["--rom", str(rom)]
    return {
        name: qcade([*OPENING_COMMANDS[name].format(run=run).split(), *named], capsys)
        for name in commands
    }


def test_the_checksum_is_recorded_when_a_run_is_made(trained: Path) -> None:
    recorded = json.loads((trained / "runs" / "pong" / "recipe.json").read_text())["game"]
    assert recorded["rom"] == str(trained / "roms" / "mine.a26")
    assert recorded["rom_md5"] == PONG_MD5


@pytest.mark.parametrize(
    "place", ["runs/pong/x.bin", "runs/X.BIN", "work/x.rom", "roms/x.a26", "dir/x.bin"]
)
def test_a_moved_rom_is_found_by_its_checksum(
    place: str, moved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("work", "dir"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path / "dir"))
    # Neither another ROM nor a file with another ending is taken for it.
    shutil.copy(bundled("breakout"), moved / "mine.a26")
    shutil.copy(bundled("pong"), moved / "pong.txt")
    assert present_rom(moved) == tmp_path / "roms" / "mine.a26"
    shutil.copy(bundled("pong"), tmp_path / place)
    assert present_rom(moved) == tmp_path / place
    assert open_run(moved).recipe().game.protocol()["rom_md5"] == PONG_MD5
    assert present_rom(Path("../runs/pong")).samefile(tmp_path / place)


def test_ale_pys_own_rom_of_the_same_checksum_is_found(
    moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_roms, "_ALE_PY_ROMS", bundled("pong").parent)
    assert present_rom(moved) == bundled("pong")


def test_commands_play_a_rom_that_was_moved_and_recipe_json_stays_as_it_is(
    moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(bundled("pong"), moved.parent / "found.bin")
    before = json.loads((moved / "recipe.json").read_text())
    commands = ["evaluate", "video of an episode", "resume", "fork"]
    answers = run_all(moved, None, capsys, commands)
    assert {name: answer.err for name, answer in answers.items() if answer.code} == {}
    assert "as recorded" in answers["video of an episode"].out
    assert "changed: total_frames: 424 -> 448" in answers["fork"].out
    assert "starts empty" not in answers["fork"].out
    after = json.loads((moved / "recipe.json").read_text())
    assert after == {**before, "total_frames": 424}
    # What was recorded meanwhile names the ROM's new place, and is no finding.
    answer = qcade(f"verify {moved}", capsys)
    assert answer.code == 0
    assert "every score was really played" in answer.out
    assert library.load(moved).actions == 6


def test_every_command_plays_a_rom_that_is_named(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "away").mkdir()
    rom = tmp_path / "away" / "pong.bin"
    shutil.copy(bundled("pong"), rom)
    answers = run_all(moved, rom, capsys)
    assert {name: answer.err for name, answer in answers.items() if answer.code} == {}
    assert "as recorded" in answers["video of an episode"].out
    assert "every score was really played" in answers["verify"].out
    assert f"qcade evaluate {moved} --rom " in answers["resume"].out
    assert library.load(moved, rom=rom).actions == 6
    # The fork's own recipe names the place.
    assert present_rom(moved.with_name("pong-fork-1")) == rom


def test_a_rom_with_another_checksum_is_refused_with_both_checksums(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rom = tmp_path / "pong.bin"
    shutil.copy(bundled("breakout"), rom)
    for name, answer in run_all(moved, rom, capsys).items():
        assert answer.code == 2, name
        assert PONG_MD5 in answer.err, name
        assert BREAKOUT_MD5 in answer.err, name
        assert "Traceback" not in answer.err
    with pytest.raises(QcadeError, match=BREAKOUT_MD5):
        library.load(moved, rom=rom)
    answer = qcade(f"evaluate {moved} --rom {tmp_path / 'none.bin'}", capsys)
    assert answer.code == 2
    assert "there is no ROM file" in answer.err


def test_a_rom_that_is_nowhere_is_told_of_in_one_sentence(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = run_all(moved, None, capsys)
    # Listing plays nothing.
    assert answers.pop("episodes").code == 0
    said = answers.pop("verify")
    assert said.code == 2
    for name, answer in {**answers, "verify": Answer(2, "", said.out)}.items():
        assert answer.code == 2, name
        for part in (PONG_MD5, "roms/mine.a26", str(tmp_path / "no roms"), "--rom FILE"):
            assert part.replace("/", "\\") in answer.err or part in answer.err, name
        assert "that file is gone" in answer.err, name
    # Another file in its place is not taken for it.
    shutil.copy(bundled("breakout"), tmp_path / "roms" / "mine.a26")
    answer = qcade(f"evaluate {moved}", capsys)
    assert answer.code == 2
    assert f"the file there has md5 {BREAKOUT_MD5}" in answer.err


@pytest.mark.parametrize("has_provenance", [True, False])
def test_of_a_run_that_records_no_checksum_it_is_taken_from_its_other_files(
    has_provenance: bool, moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_game(moved, rom_md5=None)
    if not has_provenance:
        (moved / "provenance.json").unlink()
    shutil.copy(bundled("pong"), moved.parent / "found.bin")
    assert present_rom(moved) == moved.parent / "found.bin"
    other = tmp_path / "breakout.bin"
    shutil.copy(bundled("breakout"), other)
    assert PONG_MD5 in qcade(f"resume {moved} --rom {other}", capsys).err


def test_training_again_with_the_moved_rom_is_the_same_run(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "away").mkdir()
    rom = tmp_path / "away" / "pong.bin"
    shutil.copy(bundled("pong"), rom)
    moved.rename(moved.with_name("pong-dqn-1"))
    monkeypatch.chdir(tmp_path)
    for option in ("--rom", "--game.rom"):
        answer = qcade(["train", "pong", option, str(rom), *SHORT], capsys)
        assert answer.code == 0, answer.err
        assert "is complete (400 frames)" in answer.out
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["pong-dqn-1"]
    shutil.copy(bundled("breakout"), rom)
    out = ["--out", "runs/pong-dqn-1"]
    answer = qcade(["train", "pong", "--rom", str(rom), *SHORT, *out], capsys)
    assert answer.code == 2
    assert f"game.rom_md5: {PONG_MD5} -> {BREAKOUT_MD5}" in answer.err


def test_a_run_of_ale_pys_own_rom_takes_a_file_of_the_same_and_no_other(
    moved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_game(moved, rom=None, rom_md5=None)
    pong, breakout = tmp_path / "a.bin", tmp_path / "b.bin"
    shutil.copy(bundled("pong"), pong)
    shutil.copy(bundled("breakout"), breakout)
    assert game_of(open_run(moved, pong).recipe()).rom == str(pong)
    with pytest.raises(QcadeError, match=BREAKOUT_MD5):
        open_run(moved, breakout)


def test_a_game_without_roms_is_given_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "train catch --frames 100 --updates.start-frames 96 --replay.capacity 100 --out"
    assert qcade([*words.split(), f"{tmp_path}/c"], capsys).code == 0
    answer = qcade(f"evaluate {tmp_path}/c --rom {bundled('pong')}", capsys)
    assert answer.code == 2
    assert "leave --rom out" in answer.err


def test_another_rom_for_a_fork_is_that_one_and_not_the_parents(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(bundled("pong"), moved.parent / "found.bin")
    other = tmp_path / "breakout.bin"
    shutil.copy(bundled("breakout"), other)
    # Its weights are of six actions and Breakout has four.
    answer = qcade(f"fork {moved} --frames 448 --game.rom {other}", capsys)
    assert answer.code == 2
    assert "do not fit the changed recipe" in answer.err
    words = f"train --recipe {moved}/recipe.json --game.rom {other} --frames 4 --out {tmp_path}/b"
    assert qcade(words, capsys).code == 0
    game = game_of(open_run(tmp_path / "b").recorded_recipe())
    assert (game.rom, game.rom_md5) == (str(other), BREAKOUT_MD5)


def test_a_detached_resume_is_told_of_the_rom(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Where the other process would find ale-py's, which is the same, another place is recorded.
    (tmp_path / "away").mkdir()
    rom = tmp_path / "away" / "pong.bin"
    shutil.copy(bundled("pong"), rom)
    answer = qcade(f"resume {moved} --frames 424 --detach --rom {rom}", capsys)
    assert answer.code == 0, answer.err
    for _ in range(600):
        if open_run(moved).is_complete():
            break
        time.sleep(0.05)
    newest = open_run(moved).choose_checkpoint()
    recipe = json.loads((newest / "state.json").read_text())["recipe"]
    assert recipe["game"]["rom"] == str(rom)
