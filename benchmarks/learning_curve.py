"""Draw the learning curves of runs: python benchmarks/learning_curve.py RUN... --out curve.png"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

MEAN_OF_GAMES = 20


def curve(run: Path) -> tuple[list[float], list[float], list[float]]:
    """Read millions of frames, scores and their running means from a run's metrics.jsonl."""
    frames, scores, means = [], [], []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "episode":
            frames.append(event["frames"] / 1e6)
            scores.append(event["score"])
            recent = scores[-MEAN_OF_GAMES:]
            means.append(sum(recent) / len(recent))
    return frames, scores, means


def main() -> None:
    """Draw every run's games as dots and their running mean as a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--random", type=float, help="score of a random player, drawn as a line")
    words = parser.parse_args()
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for run in words.runs:
        frames, scores, means = curve(run)
        [line] = axes.plot(frames, means, label=f"{run.name}: mean of {MEAN_OF_GAMES} games")
        axes.plot(frames, scores, ".", markersize=2, alpha=0.4, color=line.get_color())
    if words.random is not None:
        axes.axhline(words.random, color="grey", linestyle=":", label="random player")
    axes.set_xlabel("million emulator frames")
    axes.set_ylabel("score of a training game")
    axes.legend(loc="upper left")
    figure.savefig(words.out, dpi=120)


if __name__ == "__main__":
    main()
