"""Real processes that are interrupted, killed, or find the disk full."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from qcade.games.gymnasium import GymnasiumGame
from qcade.recipe import Compute
from qcade.recipes import make_recipe
from qcade.replay.frames import no_actions
from qcade.runs.checkpoint import load_checkpoint
from qcade.runs.create import create_run
from qcade.runs.lock import holder
from qcade.runs.reading.checkpoints import list_checkpoints
from qcade.runs.recorder import Recorder
from qcade.runs.stopping import stop_requests
from qcade.training.plan import build_training, plan_training
from qcade.types import TimeStep

from command import TINY_CATCH, Process, start_qcade

LONG_CATCH = [*TINY_CATCH, "--frames", "400000", "--out", "run"]

SAVED_NOT_COMPLETE = 75

posix = pytest.mark.skipif(os.name == "nt", reason="signals of Windows differ")


def wait_for_checkpoint(run: Path, process: Process) -> Path:
    for _ in range(1_200):
        found = list_checkpoints(run / "checkpoints")
        if found:
            return found[-1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"no checkpoint appeared: {process.communicate()}")


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_an_interrupt_saves_and_says_how_to_go_on(tmp_path: Path, name: str) -> None:
    notice: signal.Signals = getattr(signal, name)
    process = start_qcade(["train", *LONG_CATCH], tmp_path)
    first = wait_for_checkpoint(tmp_path / "run", process)
    process.send_signal(notice)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (SAVED_NOT_COMPLETE, "")
    assert "qcade resume run" in out
    last = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert int(last.name) >= int(first.name)
    snapshot, _ = load_checkpoint(last)
    assert snapshot.counters.decisions == int(last.name)


@posix
def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    process = start_qcade(["train", *LONG_CATCH], tmp_path)
    wait_for_checkpoint(tmp_path / "run", process)
    process.kill()
    process.communicate()
    last = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    before, _ = load_checkpoint(last)
    process = start_qcade(["train", *LONG_CATCH], tmp_path)
    while list_checkpoints(tmp_path / "run" / "checkpoints")[-1] == last:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (SAVED_NOT_COMPLETE, "")
    after, _ = load_checkpoint(list_checkpoints(tmp_path / "run" / "checkpoints")[-1])
    for name in ("decisions", "updates", "episodes"):
        assert getattr(after.counters, name) > getattr(before.counters, name)
    episodes = [
        line
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        if '"episode"' in line
    ]
    assert len(episodes) == after.counters.episodes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    process = start_qcade(["train", *LONG_CATCH], small_disk)
    first = wait_for_checkpoint(small_disk / "run", process)
    with open(small_disk / "filler", "wb") as file:
        try:
            while True:
                file.write(bytes(2**16))
                file.flush()
        except OSError:
            pass
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, (out, err)
    assert "is full; everything up to frame" in err
    assert "Traceback" not in err
    last = list_checkpoints(small_disk / "run" / "checkpoints")[-1]
    assert int(last.name) > int(first.name)
    load_checkpoint(last)
    (small_disk / "filler").unlink()
    process = start_qcade(["train", *LONG_CATCH], small_disk)
    while holder(small_disk / "run") is None:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == SAVED_NOT_COMPLETE, (out, err)


@posix
def test_a_reader_that_leaves_does_not_end_a_run(tmp_path: Path) -> None:
    process = start_qcade(["train", *LONG_CATCH], tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    first = wait_for_checkpoint(tmp_path / "run", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == SAVED_NOT_COMPLETE
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    last = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert int(last.name) > int(first.name)


@posix
def test_a_terminal_that_is_closed_takes_nothing_with_it(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "qcade", "train", *LONG_CATCH],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    for _ in range(1_200):
        if list_checkpoints(tmp_path / "run" / "checkpoints"):
            break
        time.sleep(0.1)
    before = json.loads((tmp_path / "run" / "progress.json").read_text())
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == SAVED_NOT_COMPLETE
    last = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert int(last.name) >= before["frames"]
    assert json.loads((tmp_path / "run" / "progress.json").read_text())["state"] == "interrupted"


def test_where_frames_do_not_fit_any_more_the_weights_still_do(small_disk: Path) -> None:
    recipe = dataclasses.replace(
        make_recipe("catch", "catch"),
        game=GymnasiumGame(),
        compute=Compute(device="cpu", threads=1),
        total_frames=1_000_000,
    )
    directory = create_run(small_disk / "run", recipe)
    training = build_training(plan_training(recipe))
    shape = (recipe.environments, *recipe.game.frame_shape)
    randomness = np.random.default_rng(1)
    nothing = np.zeros(recipe.environments, np.float32)
    console = Console(file=io.StringIO())
    with stop_requests(directory.path) as stop:
        recorder = Recorder(directory, training, console, None, stop)
        for _ in range(1_000):
            # Noise, which nothing compresses: more than there will be room for.
            frame = randomness.integers(256, size=shape, dtype=np.uint8)
            step = TimeStep(frame, nothing, nothing + 1, nothing != 0)
            training.ring.append(step, no_actions(recipe.environments))
        (small_disk / "filler").write_bytes(bytes(270 * 2**20))
        assert recorder.last_checkpoint() == ["--fresh-memory"]
        recorder.close()
    training.close()
    _, state = load_checkpoint(list_checkpoints(directory.checkpoints)[-1])
    assert state.stored_frames == {}
    assert list((directory.path / "replay").iterdir()) == []


def test_a_disk_that_is_too_small_is_refused(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(250 * 2**20))
    process = start_qcade(["train", *TINY_CATCH, "--out", "run"], small_disk)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "of disk for checkpoints and logs" in err
    assert not (small_disk / "run").exists()


def test_a_read_only_disk_is_refused(small_disk: Path) -> None:
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    process = start_qcade(["train", *TINY_CATCH, "--out", str(small_disk / "run")], Path("/"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "cannot write to" in err
