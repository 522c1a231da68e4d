"""How the replay memory lies changes no bit of a run; the run says which it took."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcade.runs.reading.checkpoints import list_checkpoints

from command import metrics_without_time, qcade

# The memory of 400 frames goes round three times.
WORDS = (
    "catch --frames 1200 --updates.start-frames 200 --replay.capacity 400 --replay.n-step 3 "
    "--checkpoints.period-frames 320 --compute.threads 1"
)


def test_a_run_with_compressed_frames_equals_one_with_raw_frames_to_the_last_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, compressed = tmp_path / "raw", tmp_path / "compressed"
    answer = qcade(f"train {WORDS} --replay.storage raw --out {raw}", capsys)
    assert "replay memory: 400 frames, raw, up to 0.00 GB of host memory" in answer.out
    # Interrupted half-way, so that the memory is also filled from the tape.
    half = WORDS.replace("1200", "720")
    answer = qcade(f"train {half} --replay.storage compressed --out {compressed}", capsys)
    assert "replay memory: 400 frames, compressed, up to 0.00 GB of host memory" in answer.out
    answer = qcade(f"resume {compressed} --frames 1200", capsys)
    assert answer.code == 0, answer.err

    one, other = (list_checkpoints(run / "checkpoints")[-1] for run in (raw, compressed))
    assert one.name == other.name
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    assert metrics_without_time(raw) == metrics_without_time(compressed)


def test_auto_takes_raw_frames_where_they_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train {WORDS} --frames 80 --updates.start-frames 40 --out {tmp_path / 'run'}"
    assert "replay memory: 88 frames, raw" in qcade(words, capsys).out
