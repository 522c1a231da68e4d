"""Decisions a second of qcade and of Stable-Baselines3: python benchmarks/throughput.py

Both learn Pong by the recipe `dqn` (Nature network, batch 32, one update for every 4 decisions,
84x84 frames, 1% random actions), and only the learning is timed. Beside them the floor, which is
the update alone on batches that lie ready, in the best settings found; the arithmetic, which is as
many multiply-adds in large matrix products; and the emulators alone.
Contenders take turns, each time in a process of its own with the same threads, which spin as qcade
sets them in its turn and as OpenMP does by default in all others. Nothing else should run.
Stable-Baselines3 comes with the extra `benchmarks`; without it, it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from qcade.compute.cores import available_cores
from qcade.compute.hardware import describe_processor, resolve
from qcade.recipe import Compute
from throughput_contenders import CONTENDERS, Conditions, Floor, floor_settings, is_installed
from throughput_report import markdown, summarize

OF_FLOOR = {"floor", "arithmetic"}
"""Contenders that take the floor's settings."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often."""

    contenders: list[str]
    """In the order of their turns."""
    repetitions: int
    """Turns of each."""
    conditions: Conditions
    """The same for all."""


def measure(name: str, conditions: Conditions, floor: Floor | None = None) -> dict[str, Any]:
    """Measure one contender once, in a process of its own; RuntimeError with what it printed."""
    threads = str(conditions.threads)
    words = [
        sys.executable,
        __file__,
        "--one",
        name,
        "--conditions",
        json.dumps(asdict(conditions)),
    ]
    if floor is not None:
        words += ["--floor", json.dumps(asdict(floor))]
    # Importing qcade sets this for its own sake; the others keep OpenMP's default.
    spinning = {} if name == "qcade" else {"GOMP_SPINCOUNT": "300000"}
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **spinning, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def find_floor(conditions: Conditions) -> tuple[Floor, list[dict[str, Any]]]:
    """Try every setting of the bare update once, each in its own process; return the fastest."""
    tried = []
    for floor in floor_settings(conditions.threads):
        result = measure("floor", conditions, floor)
        print(f"floor {floor}: {result['decisions_per_second']:,.0f}", file=sys.stderr, flush=True)
        tried.append({**asdict(floor), **result})
    best = max(tried, key=lambda t: t["decisions_per_second"])
    return Floor(*(best[name] for name in Floor.__dataclass_fields__)), tried


def run(plan: Plan) -> dict[str, Any]:
    """Measure all contenders in turns."""
    load_before = psutil.getloadavg()
    floor, tried = find_floor(plan.conditions) if OF_FLOOR & {*plan.contenders} else (None, [])
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in plan.contenders}
    for turn in range(plan.repetitions):
        # Every other round goes backwards, so that a machine that slows down hits all alike.
        for name in plan.contenders[:: -1 if turn % 2 else 1]:
            result = measure(name, plan.conditions, floor if name in OF_FLOOR else None)
            results[name].append(result)
            rate = result["decisions_per_second"]
            print(f"{turn + 1} {name}: {rate:,.0f} decisions/s", file=sys.stderr, flush=True)
    return {
        "machine": describe_processor(),
        "cores": available_cores(),
        "load_average_before": [*load_before],
        "conditions": asdict(plan.conditions),
        "floor": None if floor is None else asdict(floor),
        "floor_settings_tried": tried,
        "results": results,
        "summary": summarize(results),
    }


def main() -> None:
    """Measure everything, or one contender where a parent process asks for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contenders", nargs="+", default=[*CONTENDERS], choices=[*CONTENDERS])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--decisions", type=int, default=8_000, help="timed, of each contender")
    parser.add_argument(
        "--warm-up", type=int, default=2_000, help="decisions before the first update"
    )
    parser.add_argument("--capacity", type=int, default=100_000, help="frames in both memories")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="JSON of everything")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--conditions", help=argparse.SUPPRESS)
    parser.add_argument("--floor", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        conditions = Conditions(**json.loads(words.conditions))
        if words.floor:
            result = CONTENDERS[words.one](conditions, Floor(**json.loads(words.floor)))
        else:
            result = CONTENDERS[words.one](conditions)
        print(json.dumps(result))
        return
    missing = [n for n in words.contenders if n.startswith("sb3") and not is_installed()]
    if missing:
        print(
            f"left out: {', '.join(missing)}: Stable-Baselines3 is not installed; "
            'pip install -e ".[benchmarks]"'
        )
    device = resolve(Compute(device=words.device)).device
    conditions = Conditions(
        words.decisions, words.warm_up, words.capacity, words.threads, str(device)
    )
    names = [name for name in words.contenders if name not in missing]
    if not names:
        raise SystemExit("nothing is left to measure")
    found = run(Plan(names, words.repetitions, conditions))
    print(markdown(found))
    if words.out is not None:
        words.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
