"""Files of a run that a stranger wrote, or an older version: what is wrong is a sentence."""

from __future__ import annotations

import functools
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcade.cli.main import run_command
from qcade.files.whole import sha256
from qcade.runs.layout import LOCK_FILE
from qcade.runs.lock import holder
from qcade.runs.reading.checkpoints import list_checkpoints

from command import Answer, qcade

WORDS = (
    "train catch --frames 320 --checkpoints.period-frames 160 --compute.threads 1 "
    "--replay-checkpoint frames"
).split()

State = dict[str, Any]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run."""
    path = tmp_path_factory.mktemp("original") / "run"
    assert run_command([*WORDS, "--out", str(path)]) == 0
    return path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return shutil.copytree(original, tmp_path / "run")


def change_states(run: Path, change: Callable[[State], object]) -> None:
    """Change every state.json as somebody would who mends the checksums too."""
    for checkpoint in list_checkpoints(run / "checkpoints"):
        state = json.loads((checkpoint / "state.json").read_text())
        change(state)
        (checkpoint / "state.json").write_text(json.dumps(state))
        sums = json.loads((checkpoint / "checksums.json").read_text())
        sums["state.json"] = sha256(checkpoint / "state.json")
        (checkpoint / "checksums.json").write_text(json.dumps(sums))


def with_index(position: list[int], state: State) -> None:
    """Another tape.index, and no stored frames beside it."""
    state["tape"][1] = position
    state.pop("frames_files", None)


def refused(words: str, run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that must not do what it was asked for."""
    answer = qcade([str(run) if word == "RUN" else word for word in words.split()], capsys)
    assert answer.code == 2, answer.out
    assert "Traceback" not in answer.err
    return " ".join(answer.err.split())


def test_a_run_of_an_older_version_with_nan_in_its_metrics_is_still_a_run(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nan = json.dumps({"event": "updates", "frames": 160, "metrics": {"loss": float("nan")}})
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    content = "".join([*lines[:2], nan + "\n", *lines[2:]]).encode()
    (run / "metrics.jsonl").write_bytes(content)
    change_states(run, lambda s: s.update(metrics=[len(content), zlib.crc32(content)]))

    def command(words: str) -> Answer:
        return qcade([str(run) if word == "RUN" else word for word in words.split()], capsys)

    assert "finished" in command("runs RUN").out
    assert command("evaluate RUN --episodes 1").code == 0
    found = command("verify RUN")
    assert found.code != 0
    assert "metrics.jsonl, line 3 has the number NaN" in found.out
    resumed = command("resume RUN --frames 400")
    assert (resumed.code, "aside" in resumed.out) == (0, False)
    assert (run / "metrics.jsonl").read_bytes().startswith(content)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "C:\\x.lz4",
        "0-1.lz4",
        "a-b.lz4",
        "",
        "²²²²²²²²²²²²-²²²²²²²²²²²².lz4",
        "000000000000-000000000041.lz4/../../lock",
    ],
)
def test_a_checkpoint_cannot_name_any_file_as_stored_frames(
    run: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change_states(run, lambda state: state["frames_files"].update({name: "0" * 64}))
    for words in ("resume RUN --frames 400", "fork RUN --frames 400"):
        assert "as a file of stored frames" in refused(words, run, capsys)
    found = qcade(["verify", str(run)], capsys)
    assert (found.code != 0, "as a file of stored frames" in found.out) == (True, True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.update(counters=[]), "state.json has no counters"),
        (lambda s: s["counters"].pop("updates"), "counters.updates is None"),
        (lambda s: s["counters"].update(decisions="many"), "counters.decisions is 'many'"),
        (lambda s: s["counters"].update(next_row=-1), "counters.next_row is -1"),
        (lambda s: s["counters"].update(episodes=10**30), "it must be at most"),
        (lambda s: s["counters"].update(sent_actions=["x"]), "counters.sent_actions[0] is 'x'"),
        (lambda s: s.update(metrics=["a", "b"]), "does not record the lengths of the logs"),
        (lambda s: s.update(tape=[[1, 2], [3, None]]), "does not record the lengths of the logs"),
        (lambda s: s.update(frames_files=["x"]), "does not list its stored frames"),
        (lambda s: s.update(format="1"), "no format version that qcade knows"),
        (lambda s: s["counters"].update(updates=True), "counters.updates is True"),
    ],
)
def test_a_state_that_no_version_wrote_is_refused(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[State], object],
    sentence: str,
) -> None:
    change_states(run, change)
    assert sentence in refused("resume RUN --frames 400", run, capsys)
    assert qcade(["verify", str(run)], capsys).code != 0
    assert qcade(["runs", str(run)], capsys).code == 0


def test_what_is_no_checkpoint_is_not_taken_for_one(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = list_checkpoints(run / "checkpoints")[-1]
    for name in ("²", "9" * 100, f"{newest.name} copy", "٣" * 12, "99", ".000000009999.1.tmp"):
        shutil.copytree(newest, run / "checkpoints" / name)
    assert list_checkpoints(run / "checkpoints")[-1] == newest
    assert qcade(["resume", str(run), "--frames", "400"], capsys).code == 0
    for wanted in ("²", "1__6", "9" * 5_000, "_", "-160", "160.0", ""):
        answer = qcade(["evaluate", str(run), "--checkpoint", wanted], capsys)
        assert (answer.code, "no checkpoint" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"episode": {"episode": NaN}}', "has the number NaN"),
        ('{"seeding": {"row": 1, "row": 2}}', 'gives "row" twice'),
        ("[" * 100_000, "nested deeper than 50"),
        ("{", "is not valid JSON: column 2"),
        ("[]", "does not hold a JSON object"),
        ('{"other": {}}', "neither a seeding nor an episode"),
        ('{"seeding": 3}', "does not hold figures by name"),
        ('{"seeding": {"row": 1, "environment": 0}}', "does not hold row, environment, seed"),
        ('{"seeding": {"row": 1, "environment": 0, "seed": true}}', "seed is not a whole number"),
        ('{"seeding": {"row": 1.5, "environment": 0, "seed": 1}}', "row is not a whole number"),
        ('{"seeding": {"row": 1, "environment": "a", "seed": 1}}', "environment is not a whole"),
        ('{"seeding": {"row": 1, "environment": 0, "seed": 1e99}}', "seed is not a whole number"),
    ],
)
def test_a_line_of_the_tape_that_is_none_is_named(
    run: Path, capsys: pytest.CaptureFixture[str], line: str, sentence: str
) -> None:
    content = (run / "tape.index").read_bytes()
    (run / "tape.index").write_bytes(content[: content.index(b"\n") + 1] + line.encode() + b"\n")
    for command in ("episodes", "verify"):
        answer = qcade([command, str(run)], capsys)
        assert answer.code != 0
        (said,) = [s for s in (answer.out + answer.err).splitlines() if ", line 2" in s]
        assert sentence in said


def test_seedings_that_cannot_be_are_never_played(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (run / "tape.index").read_text().splitlines()
    for changes in ({"environment": 99}, {"environment": -1}, {"seed": 2**40}, {"row": -(2**40)}):
        index = []
        for line in lines:
            record = json.loads(line)
            if "seeding" in record:
                record["seeding"].update(changes)
            else:
                record["episode"]["environment"] = changes.get("environment", 0)
            index.append(json.dumps(record))
        content = ("\n".join(index) + "\n").encode()
        (run / "tape.index").write_bytes(content)
        assert "has no seed from which" in refused("video RUN --episode first", run, capsys)
        position = [len(content), zlib.crc32(content)]
        change_states(run, functools.partial(with_index, position))
        assert "has an impossible seeding" in refused("resume RUN --frames 400", run, capsys)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 512,
        b"[" * 100_000,
        b'{"pid": "x", "frames": "x"}',
        b'{"pid": 1e400}',
        b'{"pid": 1%s, "frames": 1%s, "mean_score": 1%s}' % ((b"0" * 400,) * 3),
        b"\xff\xfe",
    ],
)
def test_nothing_in_a_lock_or_a_progress_file_can_hide_a_run(
    run: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    for name in (LOCK_FILE, "progress.json"):
        (run / name).write_bytes(content)
    assert holder(run) is None
    assert "finished" in qcade(["runs", str(run)], capsys).out
    assert qcade(["resume", str(run), "--frames", "400"], capsys).code == 0


def test_fields_that_are_newer_than_a_checkpoint_are_no_finding_but_changed_ones_are(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def as_of_before(state: State) -> None:
        del state["recipe"]["evaluation"]
        del state["recipe"]["checkpoints"]["keep"]

    change_states(run, as_of_before)
    verified = qcade(["verify", str(run)], capsys)
    assert verified.code == 0, verified.out
    # Also where a part of it cannot be read any more.
    change_states(run, lambda s: s["recipe"]["torso"].update(kind="qcade.networks.gone:Torso"))
    found = qcade(["verify", str(run)], capsys)
    assert {line.partition(" is ")[0] for line in found.out.splitlines()} == {
        "recipe.json was changed: torso.kind"
    }
    change_states(run, lambda s: s["recipe"].update(seed=77))
    assert "recipe.json was changed: seed is 1" in qcade(["verify", str(run)], capsys).out
