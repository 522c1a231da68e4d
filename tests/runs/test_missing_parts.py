"""A run whose folder lost something goes on without it, and says so, or says what it needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qcade.cli.main import run_command

from command import qcade

WORDS = (
    "catch --frames 320 --checkpoints.period-frames 160 --compute.threads 1 "
    "--replay-checkpoint frames"
).split()
"""Too short to learn anything, which would only take time."""


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run with everything that a folder of one can have."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert run_command(["train", *WORDS, "--out", str(path)]) == 0
    assert run_command(["evaluate", str(path), "--episodes", "1"]) == 0
    assert run_command(["video", str(path), "--seconds", "1"]) == 0
    return path


def without(whole_run: Path, folder: Path, name: str, instead: str = "nothing") -> Path:
    """A copy of a run in which something is missing, or something else has its name."""
    run = folder / "run"
    shutil.copytree(whole_run, run)
    part = run / name
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)
    if instead == "a file":
        part.write_text("x")
    elif instead == "a folder":
        part.mkdir()
    return run


STARTED_ANEW = "is missing: a new one is started"
RESUME, FORK = "resume RUN --frames 400", "fork RUN --frames 400"


@pytest.mark.parametrize(
    ("name", "command", "sentence"),
    [
        ("tensorboard", RESUME, STARTED_ANEW),
        ("tensorboard", FORK, STARTED_ANEW),
        ("metrics.jsonl", RESUME, STARTED_ANEW),
        ("metrics.jsonl", FORK, STARTED_ANEW),
        ("provenance.json", RESUME, "Complete: 400 frames"),
        ("provenance.json", FORK, "Complete: 400 frames"),
        ("progress.json", RESUME, "Complete: 400 frames"),
        ("progress.json", "runs RUN", "finished"),
        ("lock", RESUME, "Complete: 400 frames"),
        ("replay", RESUME, "restoring them from the tape"),
        ("replay", FORK, "The replay memory starts empty"),
        ("tape.bin", FORK, "The replay memory starts empty"),
        ("tape.index", FORK, "The replay memory starts empty"),
        ("tape.bin", "evaluate RUN --episodes 1", "over 1 whole games"),
        ("evaluations", "evaluate RUN --episodes 1", "over 1 whole games"),
        ("videos", "video RUN --seconds 1", "1 s of catch"),
        ("checkpoints", RESUME, "the run starts from the beginning"),
        ("checkpoints", "runs RUN", "0.0%"),
    ],
)
def test_what_can_be_made_again_is_made_again(
    whole_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    command: str,
    sentence: str,
) -> None:
    run = without(whole_run, tmp_path, name)
    answer = qcade([str(run) if word == "RUN" else word for word in command.split()], capsys)
    assert answer.code == 0, answer.err
    assert sentence in " ".join(answer.out.split())
    if command == RESUME:
        assert (run / name).exists() == (name != "provenance.json")
        # Another command finds nothing odd about what there is now.
        assert qcade(["train", *WORDS, "--frames", "400", "--out", str(run)], capsys).code == 0


@pytest.mark.parametrize(
    ("name", "instead", "command", "sentence"),
    [
        ("tape.bin", "nothing", RESUME, "tape.bin is missing; to continue with the weights"),
        ("tape.index", "nothing", "episodes RUN", "tape.index is missing"),
        ("checkpoints", "nothing", FORK, "has no checkpoint yet"),
        ("checkpoints", "nothing", "evaluate RUN", "has no checkpoint yet"),
        ("recipe.json", "nothing", RESUME, "is not a run: it has no recipe.json"),
        ("recipe.json", "a folder", "verify RUN", "is not a run: it has no recipe.json"),
        ("checkpoints", "a file", RESUME, "checkpoints is a file where a folder belongs"),
        ("tensorboard", "a file", RESUME, "tensorboard is a file where a folder belongs"),
        ("replay", "a file", RESUME, "replay is a file where a folder belongs"),
        ("evaluations", "a file", "evaluate RUN --episodes 1", "is a file where a folder belongs"),
        ("videos", "a file", "video RUN --seconds 1", "videos is not a folder"),
        ("lock", "a folder", RESUME, "lock is a folder where a file belongs"),
        ("metrics.jsonl", "a folder", RESUME, "metrics.jsonl is a folder where a file belongs"),
        ("progress.json", "a folder", RESUME, "progress.json is a folder where a file belongs"),
    ],
)
def test_what_cannot_be_done_without_is_named_in_one_sentence(
    whole_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    instead: str,
    command: str,
    sentence: str,
) -> None:
    run = without(whole_run, tmp_path, name, instead)
    before = sorted(path for path in run.rglob("*") if path.name != "lock")
    answer = qcade([str(run) if word == "RUN" else word for word in command.split()], capsys)
    assert answer.code == 2
    assert sentence in " ".join(answer.err.split())
    assert sorted(path for path in run.rglob("*") if path.name != "lock") == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_verify_names_what_is_missing_and_names_it_once(
    whole_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("metrics.jsonl", "provenance.json"):
        run = without(whole_run, tmp_path / name, name)
        answer = qcade(["verify", str(run)], capsys)
        assert answer.code != 0
        assert answer.out.count("is missing") == 1
        assert "1 findings" in answer.err
    # What is derived is no part of what a run says of itself.
    for name in ("tensorboard", "progress.json", "lock", "videos", "evaluations"):
        run = without(whole_run, tmp_path / name, name)
        assert qcade(["verify", str(run)], capsys).code == 0
