"""Draw the learning curves of runs: python benchmarks/learning_curve.py RUN... --out curve.png

Runs of the same recipe share a colour if there are several recipes; on the right they are drawn
over the time they took.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

MEAN_OF_GAMES = 20


class Curve(NamedTuple):
    """What a run's games were, in the order they ended."""

    recipe: str
    seed: int
    frames: list[float]
    """Millions of emulator frames of the run."""
    minutes: list[float]
    scores: list[float]
    means: list[float]
    """Means over the last games."""


def curve(run: Path) -> Curve:
    """Read a run's recipe.json and metrics.jsonl."""
    recipe = json.loads((run / "recipe.json").read_text())
    found = Curve(recipe["name"], recipe["seed"], [], [], [], [])
    earlier_seconds = last_seconds = 0.0
    for line in (run / "metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "format":
            continue
        # Every process counts from 0.
        if event["seconds"] < last_seconds:
            earlier_seconds += last_seconds
        last_seconds = event["seconds"]
        if event["event"] == "episode":
            found.frames.append(event["frames"] / 1e6)
            found.minutes.append((earlier_seconds + last_seconds) / 60)
            found.scores.append(event["score"])
            recent = found.scores[-MEAN_OF_GAMES:]
            found.means.append(sum(recent) / len(recent))
    return found


def draw(axes: Axes, curves: list[Curve], over: str, games: bool) -> None:
    """Draw the running means over `frames` or `minutes`, with every game as a dot if asked."""
    names = list(dict.fromkeys(each.recipe for each in curves))
    for index, each in enumerate(curves):
        color = f"C{names.index(each.recipe) if len(names) > 1 else index}"
        x = each.frames if over == "frames" else each.minutes
        axes.plot(x, each.means, color=color, label=f"{each.recipe}, seed {each.seed}")
        if games:
            axes.plot(x, each.scores, ".", markersize=2, alpha=0.4, color=color)


def main() -> None:
    """Draw over frames on the left and over minutes on the right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--random", type=float, help="score of a random player, drawn as a line")
    parser.add_argument("--games", action="store_true", help="draw every game as a dot as well")
    words = parser.parse_args()
    curves = [curve(run) for run in words.runs]
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for axes, over, label in zip(
        both, ("frames", "minutes"), ("million emulator frames", "minutes"), strict=True
    ):
        draw(axes, curves, over, words.games)
        if words.random is not None:
            axes.axhline(words.random, color="grey", linestyle=":", label="random player")
        axes.set_xlabel(label)
    both[0].set_ylabel(f"score of training games, mean of {MEAN_OF_GAMES}")
    both[0].legend(loc="upper left", fontsize="small")
    figure.savefig(words.out, dpi=120)


if __name__ == "__main__":
    main()
