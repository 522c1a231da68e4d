"""Real processes that are interrupted, killed, or find the disk full."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcade.runs.checkpoint import list_checkpoints, load_checkpoint
from qcade.runs.lock import holder

from command import TINY_CATCH, start_qcade

LONG_CATCH = [*TINY_CATCH, "--frames", "400000", "--out", "run"]

posix = pytest.mark.skipif(os.name == "nt", reason="signals of Windows differ")


def wait_for_checkpoint(run: Path, process: subprocess.Popen[str]) -> Path:
    for _ in range(1_200):
        found = list_checkpoints(run / "checkpoints")
        if found:
            return found[-1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"no checkpoint appeared: {process.communicate()}")


@posix
@pytest.mark.parametrize("notice", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_go_on(tmp_path: Path, notice: signal.Signals) -> None:
    process = start_qcade(["train", *LONG_CATCH], tmp_path)
    first = wait_for_checkpoint(tmp_path / "run", process)
    process.send_signal(notice)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "Go on with:\n  qcade resume run" in out
    last = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert int(last.name) >= int(first.name)
    snapshot, _ = load_checkpoint(last)
    assert snapshot.counters["decisions"] == int(last.name)


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
    assert (process.returncode, err) == (0, "")
    after, _ = load_checkpoint(list_checkpoints(tmp_path / "run" / "checkpoints")[-1])
    for name in ("decisions", "updates", "episodes"):
        assert int(str(after.counters[name])) > int(str(before.counters[name]))
    episodes = [
        line
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        if '"episode"' in line
    ]
    assert len(episodes) == after.counters["episodes"]


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
    assert process.returncode == 0, (out, err)


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
