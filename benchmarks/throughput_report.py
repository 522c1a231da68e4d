"""Medians, spreads and ratios of throughput.py, and their Markdown table."""

from __future__ import annotations

import statistics
from typing import Any

NAMES = {
    "qcade": "qcade, 8 games",
    "sb3": "Stable-Baselines3, 1 game as in its zoo",
    "sb3-8": "Stable-Baselines3, 8 games",
    "floor": "floor: the update alone",
    "arithmetic": "arithmetic alone: large matrix products",
    "emulators": "emulators alone, 8 games",
    "sb3-emulators": "Stable-Baselines3's games alone, 1 game",
}
RATIOS = (
    ("qcade", "sb3"),
    ("qcade", "sb3-8"),
    ("qcade", "floor"),
    ("floor", "sb3"),
    ("arithmetic", "sb3"),
)


def summarize(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Median, least and most of every contender, and of the ratios within each round."""
    rates = {
        name: [turn["decisions_per_second"] for turn in turns] for name, turns in results.items()
    }
    ratios = {
        f"{one}/{other}": [a / b for a, b in zip(rates[one], rates[other], strict=True)]
        for one, other in RATIOS
        if one in rates and other in rates
    }
    return {
        "decisions_per_second": {name: spread(values) for name, values in rates.items()},
        "ratios": {name: spread(values) for name, values in ratios.items()},
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def markdown(found: dict[str, Any]) -> str:
    """A table of all contenders, and one of the ratios."""
    conditions, floor = found["conditions"], found["floor"]
    turns = max(len(turns) for turns in found["results"].values())
    lines = [
        f"{found['machine']}; {conditions['device']}, {conditions['threads']} threads; "
        f"{turns} rounds of {conditions['decisions']:,} decisions; "
        f"load average before: {found['load_average_before'][0]:.1f}",
    ]
    if floor is not None:
        lines.append(
            f"Best settings of the floor: {floor['precision']}, {floor['threads']} threads, "
            f"freed memory {'kept' if floor['keeps_freed_memory'] else 'handed back'}, channels "
            f"{'last' if floor['channels_last'] else 'first'}."
        )
    lines += ["", "| | decisions/s | least | most |", "|---|---|---|---|"]
    for name, figures in found["summary"]["decisions_per_second"].items():
        lines.append(
            f"| {NAMES[name]} | {figures['median']:,.0f} | {figures['least']:,.0f} | "
            f"{figures['most']:,.0f} |"
        )
    if found["summary"]["ratios"]:
        lines += ["", "| ratio, within each round | median | least | most |", "|---|---|---|---|"]
    for name, figures in found["summary"]["ratios"].items():
        one, other = name.split("/")
        lines.append(
            f"| {one} / {other} | {figures['median']:.2f} | {figures['least']:.2f} | "
            f"{figures['most']:.2f} |"
        )
    return "\n".join(lines)
