"""Kill a training at random instants, resume it each time, and compare with one left alone.

    python benchmarks/kills.py --kills 20 --seed 1 [--words "pong --frames 64000 ..."]

Prints a Markdown table and exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = (
    "pong --frames 48000 --updates.start-frames 24000 --replay.capacity 8000 "
    "--checkpoints.period-frames 1600 --compute.threads 1"
)


def command(words: list[str], out: Path) -> list[str]:
    """The command that trains into `out`."""
    return [sys.executable, "-m", "qcade", "train", *words, "--out", str(out)]


def fingerprints(run: Path) -> dict[str, str]:
    """SHA-256 of everything that must not depend on kills."""
    newest = max((run / "checkpoints").iterdir())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds", None)
    parts = {
        "weights": (newest / "model.safetensors").read_bytes(),
        "optimizer, target network, random state": (newest / "optimizer.safetensors").read_bytes(),
        "tape": (run / "tape.bin").read_bytes() + (run / "tape.index").read_bytes(),
        "metrics": json.dumps(lines).encode(),
    }
    return {name: hashlib.sha256(content).hexdigest()[:16] for name, content in parts.items()}


def frames_reached(run: Path) -> int:
    """Frames of the newest checkpoint; 0 before the first."""
    found = [p.name for p in (run / "checkpoints").glob("*") if p.name.isdigit()]
    return int(max(found, default="0"))


def main() -> int:
    """Run both trainings and compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--words", default=WORDS)
    options = parser.parse_args()
    words = options.words.split()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        started = time.monotonic()
        subprocess.run(command(words, whole), check=True, capture_output=True)
        seconds = time.monotonic() - started
        print(f"`qcade train {options.words}`, {seconds:.0f} s uninterrupted\n")
        print("| kill | after s | newest checkpoint then, frames |\n|---|---|---|")
        for kill in range(1, options.kills + 1):
            process = subprocess.Popen(
                command(words, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            started = time.monotonic()
            # A quarter are killed while they start or refill their memory; the others at any
            # instant after they got a checkpoint further.
            if chance.random() > 0.25:
                before = frames_reached(killed)
                while process.poll() is None and frames_reached(killed) == before:
                    time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 3.0))
            process.kill()
            process.wait()
            wait = time.monotonic() - started
            print(f"| {kill} | {wait:.1f} | {frames_reached(killed):,} |", flush=True)
        subprocess.run(command(words, killed), check=True, capture_output=True)
        one, other = fingerprints(whole), fingerprints(killed)
    print("\n| | uninterrupted | killed and resumed | |\n|---|---|---|---|")
    for name in one:
        verdict = "equal" if one[name] == other[name] else "DIFFERENT"
        print(f"| {name} | `{one[name]}` | `{other[name]}` | {verdict} |")
    return int(one != other)


if __name__ == "__main__":
    sys.exit(main())
