"""How long a recipe takes to play well: python benchmarks/sprint.py [--games pong] [--seeds 1 2 3]

Every run is `qcade train`, from the start of the command to its end; the score is that of `qcade
evaluate` afterwards: 30 whole games, no-op starts, epsilon 0.001. Nothing else should run.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from qcade.compute.cores import available_cores
from qcade.compute.hardware import describe_processor
from qcade.games.names import canonical
from qcade.games.scores import HUMAN_RANDOM


@dataclass(frozen=True)
class Result:
    """One run, trained and judged."""

    recipe: str
    game: str
    seed: int
    frames: int
    """Emulator frames of the run."""
    minutes: float
    """From the start of the command to its end."""
    decisions_per_second: float
    """Of the whole run, start and end included."""
    mean: float
    """Of the evaluation's games."""
    lowest: float
    highest: float
    random_player: float
    """The published score of a random player."""


def qcade(*words: str) -> str:
    """Run one command; RuntimeError with what it said if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "qcade", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"qcade {' '.join(words)}:\n{done.stderr}")
    return done.stdout


def sprint(recipe: str, game: str, seed: int, folder: Path, options: list[str]) -> Result:
    """Train once and judge the agent."""
    run = folder / f"{game}-{recipe.rpartition(':')[2]}-{seed}"
    if run.exists():
        raise SystemExit(f"{run} exists already, and would only go on: choose another --folder")
    random_player = HUMAN_RANDOM.get(canonical(game), (math.nan,))[0]
    started = time.monotonic()
    qcade("train", game, "--recipe", recipe, "--seed", str(seed), "--out", str(run), *options)
    seconds = time.monotonic() - started
    judged = json.loads(qcade("evaluate", str(run), "--json"))
    progress = json.loads((run / "progress.json").read_text())
    scores = judged["scores"]
    frame_skip = json.loads((run / "recipe.json").read_text())["game"].get("frame_skip", 1)
    return Result(
        recipe,
        game,
        seed,
        progress["frames"],
        seconds / 60,
        progress["frames"] / frame_skip / seconds,
        statistics.fmean(scores),
        min(scores),
        max(scores),
        random_player,
    )


def table(results: list[Result]) -> str:
    """Lay the results out as Markdown, a run a line."""
    lines = [
        "| recipe | game | seed | frames | minutes | decisions/s | mean of 30 games | "
        "lowest, highest | random player |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{r.recipe}` | {r.game} | {r.seed} | {r.frames / 1e6:.2f}M | {r.minutes:.1f} | "
        f"{r.decisions_per_second:,.0f} | {r.mean:,.1f} | {r.lowest:,.0f}, {r.highest:,.0f} | "
        f"{r.random_player:,.1f} |"
        for r in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Train and judge every game and seed, one after the other; print a line each, then a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="sprint")
    parser.add_argument("--games", nargs="+", default=["pong"], help="names as in `qcade games`")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--folder", type=Path, default=Path("runs/sprint"), help="for the runs")
    parser.add_argument("--out", type=Path, help="JSON lines of all results, added to")
    words, options = parser.parse_known_args()
    print(f"{describe_processor()}, {available_cores()} cores", flush=True)
    results = []
    for game in words.games:
        for seed in words.seeds:
            results.append(sprint(words.recipe, game, seed, words.folder, options))
            line = json.dumps(asdict(results[-1]))
            print(line, flush=True)
            if words.out is not None:
                with words.out.open("a") as file:
                    file.write(line + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
