"""Damage every kind of file of a run in every way, and see that it is found.

    python benchmarks/faults.py --trials 10

For each file: bytes are flipped, the end is cut off, the file is removed; `qcade verify` and
`qcade resume` then run on the damaged copy. Allowed are a message with exit code 2, or an answer
that the damage does not touch. Prints a Markdown table; exits with 1 after anything else.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from qcade.cli.main import run_command

TRAIN = (
    "catch --frames 640 --updates.start-frames 200 --replay.capacity 400 "
    "--checkpoints.period-frames 320 --compute.threads 1"
).split()
UNTOUCHED = {"lock", "progress.json"}


def flip(path: Path, chance: random.Random) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, chance: random.Random) -> None:
    """Take away the end."""
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def remove(path: Path, chance: random.Random) -> None:
    """Take away the file."""
    path.unlink()


FAULTS: dict[str, Callable[[Path, random.Random], None]] = {
    "bit flipped": flip,
    "end cut off": cut,
    "removed": remove,
}


def answer(words: list[str]) -> str:
    """Run a command; say how it ended."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = run_command(words)
        except Exception as error:
            return f"CRASH {type(error).__name__}"
    return {0: "fine", 2: "refused"}.get(code, f"CODE {code}")


def main() -> int:
    """Damage copies of one run and count the answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10)
    options = parser.parse_args()
    chance = random.Random(1)
    crashes = 0
    with tempfile.TemporaryDirectory() as folder:
        run, copy = Path(folder) / "run", Path(folder) / "copy"
        if answer(["train", *TRAIN, "--out", str(run)]) != "fine":
            raise SystemExit("the run itself failed")
        newest = max((run / "checkpoints").iterdir()).name
        files = [
            p.relative_to(run)
            for p in sorted(run.rglob("*"))
            if p.is_file()
            and p.name not in UNTOUCHED
            and ("checkpoints" not in p.parts or newest in p.parts)
        ]
        print("| file | fault | verify | resume |\n|---|---|---|---|")
        for file in files:
            for name, fault in FAULTS.items():
                counts: dict[str, Counter[str]] = {"verify": Counter(), "resume": Counter()}
                for _ in range(1 if name == "removed" else options.trials):
                    for command, words in (("verify", []), ("resume", ["--frames", "648"])):
                        shutil.rmtree(copy, ignore_errors=True)
                        shutil.copytree(run, copy)
                        fault(copy / file, chance)
                        counts[command][answer([command, str(copy), *words])] += 1
                shown = [", ".join(f"{k} {n}" for k, n in counts[c].items()) for c in counts]
                crashes += sum(n for c in counts.values() for k, n in c.items() if k[0] == "C")
                print(f"| {file} | {name} | {shown[0]} | {shown[1]} |", flush=True)
    return int(crashes > 0)


if __name__ == "__main__":
    sys.exit(main())
