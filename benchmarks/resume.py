"""Measure what a checkpoint of the replay memory takes, and how long a resume takes: tape, frames.

    python benchmarks/resume.py --capacity 200000 --rows 24900

A Pong run of random play fills the memory; no learning, so that only the memory is measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FRAMES_PER_ROW = 4 * 8


def size_bytes(paths: list[Path]) -> int:
    """Total size of files and folders."""
    files = [f for p in paths for f in ([p] if p.is_file() else p.rglob("*"))]
    return sum(f.stat().st_size for f in files if f.is_file())


def train(words: list[str]) -> float:
    """Run a command; return its seconds."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "qcade", *words], check=True, capture_output=True)
    return time.monotonic() - started


def main() -> None:
    """Fill the memory, stop, resume for one row; once with each way of keeping the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capacity", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=24_900)
    options = parser.parse_args()
    frames = options.rows * FRAMES_PER_ROW
    more = frames + FRAMES_PER_ROW
    print(f"{options.capacity:,} steps of memory, {options.rows:,} rows of 8 environments played\n")
    print(
        "| memory by | bytes beside weights and optimizer | resume, s | a start from nothing, s |"
    )
    print("|---|---|---|---|")
    for way in ("tape", "frames"):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            common = ["--updates.start-frames", str(options.capacity * 4)]
            common += ["--checkpoints.period-frames", "0", "--out", str(run)]
            shape = ["--frames", str(frames), "--replay.capacity", str(options.capacity)]
            train(["train", "pong", *shape, "--replay-checkpoint", way, *common])
            parts = [run / "tape.bin", run / "tape.index"]
            if way == "frames":
                parts.append(run / "replay")
            kept = size_bytes(parts)
            resumed = train(["resume", str(run), "--frames", str(more)])
            fresh = train(["train", "pong", "--frames", "32", "--out", str(run) + "-fresh"])
            print(f"| {way} | {kept:,} | {resumed:.1f} | {fresh:.1f} |", flush=True)


if __name__ == "__main__":
    main()
