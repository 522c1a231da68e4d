"""`qcade verify` finds every lie about a run, names it, and finds none in honest runs."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from qcade.cli.main import run_command
from qcade.events import Seeding
from qcade.files.whole import sha256, write_json
from qcade.games.catch import Catch
from qcade.play.session import (
    RESEED_PERIOD_ROWS,
    RunSeeds,
    apply_seedings,
)
from qcade.recipes import find_recipe
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.runs.reading.scores import RecentScores
from qcade.tape.format import Tape
from qcade.verify.reemulating import reemulate_tape
from qcade.verify.verifying import Verification, verify_run

from command import qcade, start_qcade

# Nothing is learnt: the first update would come after the end. Short games make many episodes.
RUNS = {
    "catch": (
        "catch --frames 600 --updates.start-frames 700 --replay.capacity 700 "
        "--checkpoints.period-frames 200 --compute.threads 1"
    ),
    "pong": (
        "pong --frames 1600 --environments 2 --updates.start-frames 2000 --replay.capacity 500 "
        "--checkpoints.period-frames 800 --compute.threads 1 "
        "--game.sticky-actions 0.25 --game.max-episode-frames 200"
    ),
}
OLD, NEWEST = 0, -1


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """One run of each game, not to be changed."""
    folder = tmp_path_factory.mktemp("honest")
    for name, words in RUNS.items():
        assert run_command(["train", *words.split(), "--out", str(folder / name)]) == 0
    yield {name: folder / name for name in RUNS}
    shutil.rmtree(folder)


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest, honest: dict[str, Path], tmp_path: Path) -> Iterator[Path]:
    """A copy of a run, to be changed."""
    yield shutil.copytree(honest[request.param], tmp_path / "run")
    shutil.rmtree(tmp_path / "run")


def verified(run: Path) -> Verification:
    return verify_run(run, Console(file=io.StringIO()))


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def flip(path: Path, position: int, mask: int = 1) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ mask]))


def change_score(path: Path, number: int) -> None:
    """Make the score of an episode another one, of as many characters."""

    def better(line: bytes) -> bytes:
        if json.loads(line).get("seeding") or f'"episode": {number},'.encode() not in line:
            return line
        before, _, rest = line.partition(b'"score": ')
        score, comma, after = rest.partition(b",")
        return before + b'"score": ' + b"7.".ljust(len(score), b"0") + comma + after

    path.write_bytes(b"".join(better(line) for line in lines(path)))


def replace_header(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = (run / "tape.bin").read_bytes()
    length = int.from_bytes(content[9:13], "little")
    header = json.loads(content[13 : 13 + length])
    change(header)
    new = json.dumps(header).encode()
    (run / "tape.bin").write_bytes(
        content[:9] + len(new).to_bytes(4, "little") + new + content[13 + length :]
    )


def forge_checksums(run: Path) -> None:
    """Make every checkpoint agree with the logs as they are now, scores and checksums included."""
    episodes = [json.loads(line) for line in lines(run / "metrics.jsonl")[1:]]
    for checkpoint in list_checkpoints(run / "checkpoints"):
        state = json.loads((checkpoint / "state.json").read_text())
        for position, name in [
            (state["metrics"], "metrics.jsonl"),
            (state["tape"][0], "tape.bin"),
            (state["tape"][1], "tape.index"),
        ]:
            position[1] = zlib.crc32((run / name).read_bytes()[: position[0]])
        scores = RecentScores()
        for episode in episodes[: state["counters"]["episodes"]]:
            scores.add(episode["score"])
        state["scores"] = scores.to_json()
        state["mean_score"] = scores.mean if scores.is_full else None
        write_json(checkpoint / "state.json", state)
        sums = json.loads((checkpoint / "checksums.json").read_text())
        write_json(
            checkpoint / "checksums.json", {name: sha256(checkpoint / name) for name in sums}
        )


@pytest.mark.parametrize("name", RUNS)
def test_an_honest_run_passes(
    name: str, honest: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    episodes = len(lines(honest[name] / "metrics.jsonl")[1:])
    decisions = {"catch": 600, "pong": 400}[name]
    answer = qcade(f"verify {honest[name]}", capsys)
    assert answer.code == 0, answer.err + answer.out
    assert f"verified: {episodes} episodes, {decisions} decisions played again" in answer.out
    assert answer.out.endswith("; every score was really played\n")
    answer = qcade(f"verify {honest[name]} --json", capsys)
    found = json.loads(answer.out)
    assert found["verified"] is True
    assert (found["episodes"], found["findings"]) == (episodes, [])


def test_a_run_passes_while_it_is_written_after_a_kill_and_after_a_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = (
        "train catch --frames 8000 --updates.start-frames 8400 --replay.capacity 8400 "
        "--checkpoints.period-frames 800 --compute.threads 1"
    )
    process = start_qcade([*words.split(), "--out", str(run)], tmp_path)
    while process.poll() is None and not list_checkpoints(run / "checkpoints"):
        time.sleep(0.02)
    while_written = verified(run)
    process.kill()
    process.communicate()
    assert while_written.findings == []
    killed = verified(run)
    assert killed.findings == []
    assert 0 < killed.decisions < 8000, "it was to be killed on its way"
    answer = qcade(f"resume {run}", capsys)
    assert answer.code == 0, answer.err
    resumed = verified(run)
    assert (resumed.findings, resumed.decisions) == ([], 8000)
    shutil.rmtree(run)


def _change_action(run: Path) -> None:
    # Of the first row in which something was decided: no episode has ended yet.
    state = json.loads((list_checkpoints(run / "checkpoints")[NEWEST] / "state.json").read_text())
    environments = len(state["counters"]["under_way"]["scores"])
    size = (run / "tape.bin").stat().st_size
    first_byte = size - state["counters"]["next_row"] * environments
    content = bytearray((run / "tape.bin").read_bytes())
    # Enough decisions of one environment for a game that does not ignore all of them.
    for row in range(1, 5):
        position = first_byte + row * environments
        content[position] = (content[position] + 1) % 3
    (run / "tape.bin").write_bytes(content)


def _flip_in_checkpoint(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = list_checkpoints(run / "checkpoints")[OLD] / name
        flip(path, path.stat().st_size // 2)

    return change


def _remove_from_checkpoint(run: Path) -> None:
    (list_checkpoints(run / "checkpoints")[OLD] / "optimizer.safetensors").unlink()


def _cut(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) * 9 // 10])

    return change


def _delete_line(run: Path) -> None:
    content = lines(run / "tape.index")
    del content[-3]
    (run / "tape.index").write_bytes(b"".join(content))


def _insert_line(run: Path) -> None:
    content = lines(run / "tape.index")
    record = json.loads(content[-3])
    record["episode"]["first_row"] += 1
    content.insert(len(content) - 3, json.dumps(record).encode() + b"\n")
    (run / "tape.index").write_bytes(b"".join(content))


def _append_metric(run: Path) -> None:
    record = json.loads(lines(run / "metrics.jsonl")[NEWEST])
    record |= {"first_row": record["first_row"] + 10_000, "score": 99.0}
    with open(run / "metrics.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")


LIES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "action": (_change_action, ["tape.bin was changed: its first", "checksum of frames is"]),
    "score in the index": (
        lambda run: change_score(run / "tape.index", 5),
        ["tape.index was changed", "tape.index: episode 5: the recorded score is 7, played again"],
    ),
    "score in the metrics": (
        lambda run: change_score(run / "metrics.jsonl", 5),
        ["metrics.jsonl was changed", "metrics.jsonl: episode 5: the recorded score is 7, played"],
    ),
    "weights": (
        _flip_in_checkpoint("model.safetensors"),
        ["model.safetensors does not match its checksum"],
    ),
    "optimizer": (
        _flip_in_checkpoint("optimizer.safetensors"),
        ["optimizer.safetensors does not match its checksum"],
    ),
    "state": (_flip_in_checkpoint("state.json"), ["state.json does not match its checksum"]),
    "file of a checkpoint": (_remove_from_checkpoint, ["optimizer.safetensors is missing"]),
    "shorter tape": (_cut("tape.bin"), ["tape.bin is cut off"]),
    "shorter index": (_cut("tape.index"), ["tape.index is cut off", "tape.index: episode"]),
    "shorter metrics": (_cut("metrics.jsonl"), ["metrics.jsonl is cut off", "is missing"]),
    "no tape": (lambda run: (run / "tape.bin").unlink(), ["tape.bin is missing"]),
    "line deleted": (_delete_line, ["tape.index: episode", "is missing: environment"]),
    "line inserted": (_insert_line, ["tape.index: episode", "was never played"]),
    "line appended": (_append_metric, ["metrics.jsonl: episode", "ends after the last row"]),
}


# Every lie about the cheap game, and about a real emulator those that playing again must find.
LIES_ABOUT_PONG = ("action", "score in the index", "line deleted")


@pytest.mark.parametrize(
    ("run", "lie"),
    [("catch", lie) for lie in LIES] + [("pong", lie) for lie in LIES_ABOUT_PONG],
    indirect=["run"],
)
def test_a_lie_is_found_and_named(lie: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, sentences = LIES[lie]
    change(run)
    answer = qcade(f"verify {run} --json", capsys)
    assert answer.code == 2
    assert "differs from what was recorded" in answer.err
    findings = "\n".join(json.loads(answer.out)["findings"])
    for sentence in sentences:
        assert sentence in findings


@pytest.mark.parametrize("run", ["pong"], indirect=True)
def test_another_game_or_emulator_is_said_and_not_played(run: Path) -> None:
    content = (run / "recipe.json").read_text()
    (run / "recipe.json").write_text(
        content.replace('"sticky_actions": 0.25', '"sticky_actions": 0')
    )
    found = verified(run)
    assert any("game.sticky_actions is 0, and was 0.25" in line for line in found.findings)
    assert any("sticky_actions 0.25 (here 0): nothing was played" in f for f in found.findings)
    (run / "recipe.json").write_text(content)
    replace_header(run, lambda header: header["protocol"].update(ale_py="0.9.9"))
    found = verified(run)
    assert any("recorded with ale_py 0.9.9 (here " in line for line in found.findings)
    assert found.decisions == 0


@pytest.mark.parametrize(
    "files", [["tape.index"], ["metrics.jsonl"], ["tape.index", "metrics.jsonl"]]
)
def test_a_forger_who_mends_every_checksum_is_found_by_playing_again(
    files: list[str], run: Path
) -> None:
    for file in files:
        change_score(run / file, 5)
    forge_checksums(run)
    found = verified(run)
    for file in files:
        assert any(
            line.startswith(f"{file}: episode 5: the recorded score") for line in found.findings
        )
    assert not any("checksum" in line or "was changed" in line for line in found.findings)


def test_a_forger_who_mends_checksums_after_changing_actions_or_games_under_way_is_found(
    run: Path,
) -> None:
    newest = list_checkpoints(run / "checkpoints")[NEWEST]
    state = json.loads((newest / "state.json").read_text())
    state["counters"]["under_way"]["scores"][1] += 5
    write_json(newest / "state.json", state)
    forge_checksums(run)
    (finding,) = verified(run).findings
    assert "the score so far of the unfinished game of environment 1 is" in finding
    _change_action(run)
    forge_checksums(run)
    assert any("checksum of frames is" in line for line in verified(run).findings)


@pytest.mark.parametrize("run", ["catch"], indirect=True)
def test_a_flipped_byte_anywhere_is_found_or_changes_nothing(run: Path) -> None:
    chance = random.Random(4)
    files = sorted(
        path
        for path in run.rglob("*")
        if path.is_file()
        and path.parent.name != "tensorboard"
        and path.name not in ("progress.json", "lock", "output.log", "provenance.json")
    )
    for _ in range(30):
        # A file first, lest all positions be in the weights.
        path = chance.choice(files)
        position, mask = chance.randrange(path.stat().st_size), chance.randrange(1, 256)
        before = path.read_bytes()
        flip(path, position, mask)
        if not verified(run).findings:
            where = f"{path.relative_to(run)}, byte {position}, mask {mask}"
            assert path.suffix == ".json", where
            assert _trusted(path.read_bytes()) == _trusted(before), where
        path.write_bytes(before)


def _trusted(content: bytes) -> Any:
    data = json.loads(content)
    # `qcade resume --frames` may change it: it says how long the run is to be, not what it was.
    data.pop("total_frames", None)
    return data


@pytest.mark.parametrize("run", ["catch"], indirect=True)
def test_a_tape_put_aside_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert qcade(f"resume {run} --frames 1000 --fresh-memory", capsys).code == 0
    answer = qcade(f"verify {run}", capsys)
    assert answer.code == 0, answer.out
    assert (
        "before row 76 cannot be verified: their tape was set aside (tape.bin.aside-1)"
        in answer.out
    )
    assert "every other score was really played" in answer.out


def test_games_are_not_seeded_but_when_it_is_due() -> None:
    # Long enough for a second seeding, which is too long for a run.
    recipe = dataclasses.replace(find_recipe("dqn")("catch"), environments=1)
    environments = Catch().open(1, 0)
    actions = np.random.default_rng(5).integers(3, size=(RESEED_PERIOD_ROWS + 50, 1))
    run_seeds, opening = RunSeeds(recipe.seed, 1), environments.reset()
    seedings = list(run_seeds.at_start(0, opening.first))
    apply_seedings(environments, opening, tuple(seedings))
    for row in range(1, len(actions)):
        environments.send(actions[row])
        due = run_seeds.when_due(row, environments.recv().first)
        if due:
            environments.reseed(np.array([0]), np.array([due[0].seed]))
        seedings += due
    assert len(seedings) == 2

    def findings(*changed: Seeding, rows: int = len(actions)) -> tuple[str, ...]:
        header: dict[str, Any] = {}
        tape = Tape(header, 0, actions[:rows].astype(np.uint8), changed, ())
        return reemulate_tape(recipe, tape, (), rows, lambda row, of: None).findings

    first, second = seedings
    assert findings(first, second) == ()
    (lost,) = findings(first)
    assert "follows from the recipe's seed, but is not recorded" in lost
    # A game that went badly is broken off by a seed.
    abandoned = findings(first, Seeding(3, 0, 99), rows=60)
    assert "seed 99 of environment 0 at row 3 is recorded, but does not follow" in abandoned[0]
