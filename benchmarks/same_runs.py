"""Train every recipe with this checkout and with an earlier commit, and compare to the last bit.

    python benchmarks/same_runs.py --against COMMIT [--recipes dqn pqn] [--games catch pong]

Each run is short, is killed (`kill -9`) after its first checkpoint and resumed. Compared are the
weights, the optimizer's state, the tape and the metrics, timings aside. Prints a Markdown table and
exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from qcade.recipe import OnPolicyRecipe
from qcade.recipes import make_recipe, recipe_names

ROOT = Path(__file__).parent.parent
COMMON = "--compute.threads 1 --compute.precision float32 --compute.device cpu"
REPLAY = (
    "--environments 4 --updates.start-frames {start} --replay.capacity {capacity} "
    "--updates.batch-size 4 --updates.period-decisions 4 --updates.per-period 1 "
    "--frames {frames} --checkpoints.period-frames {period}"
)
ROLLOUTS = (
    "--environments 4 --rollouts.decisions 16 --rollouts.minibatches 4 --frames {frames} "
    "--checkpoints.period-frames {period}"
)
SIZES = {
    "catch": {"start": 120, "capacity": 200, "frames": 320, "period": 40},
    "pong": {"start": 1_200, "capacity": 600, "frames": 2_400, "period": 320},
}
"""Frames. The memory goes round once, and checkpoints come before and after the first update."""


def words_of(recipe_name: str, game: str) -> list[str]:
    """What follows `qcade train` for a short run of a recipe."""
    is_on_policy = isinstance(make_recipe(recipe_name, game), OnPolicyRecipe)
    options = (ROLLOUTS if is_on_policy else REPLAY).format(**SIZES[game])
    return [game, "--recipe", recipe_name, *options.split(), *COMMON.split()]


def run_killed_and_resumed(source: Path, words: list[str], out: Path) -> None:
    """Train with the package in `source`; kill the process once, and resume."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-m", "qcade"]
    with open(out.with_suffix(".log"), "ab") as log:
        first = subprocess.Popen(
            [*command, "train", *words, "--out", str(out)],
            env=environment,
            stdout=log,
            stderr=log,
        )
        while not any((out / "checkpoints").glob("0*")) and first.poll() is None:
            time.sleep(0.01)
        first.kill()
        first.wait()
        done = subprocess.run(
            [*command, "resume", str(out)], env=environment, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {out.with_suffix('.log').read_text()[-2_000:]}")


def differences(one: Path, other: Path) -> list[str]:
    """Name what two runs do not have in common."""
    folders = [max((run / "checkpoints").glob("0*")) for run in (one, other)]
    if folders[0].name != folders[1].name:
        return ["frames"]
    found = [
        name
        for name in ("model.safetensors", "optimizer.safetensors")
        if not _same_tensors(folders[0] / name, folders[1] / name)
    ]
    found += [
        name
        for name in ("tape.bin", "tape.index")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    if _metrics(one) != _metrics(other):
        found.append("metrics")
    return found


def _same_tensors(one: Path, other: Path) -> bool:
    mine, theirs = load_file(one), load_file(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def _metrics(run: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # The first line says the format since 2, and nothing of the run.
    events = [line for line in lines if line["event"] != "format"]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in events]


def main() -> int:
    """Run everything from both sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", required=True)
    parser.add_argument("--recipes", nargs="+", default=recipe_names())
    parser.add_argument("--games", nargs="+", default=[*SIZES])
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder) / "earlier"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(earlier)], check=True)
        checkout = ["git", "-C", str(earlier), "checkout", "--quiet", options.against]
        subprocess.run(checkout, check=True)
        print(f"| recipe | game | against {options.against} |\n|---|---|---|", flush=True)
        for name in options.recipes:
            for game in options.games:
                runs = []
                for which, source in (("now", ROOT), ("earlier", earlier)):
                    out = Path(folder) / f"{name}-{game}-{which}"
                    run_killed_and_resumed(source / "src", words_of(name, game), out)
                    runs.append(out)
                found = differences(*runs)
                failed = failed or bool(found)
                verdict = f"differs: {', '.join(found)}" if found else "equal"
                print(f"| {name} | {game} | {verdict} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
