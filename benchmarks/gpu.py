"""All that is to be measured on a CUDA GPU, in less than nine minutes.

    python benchmarks/gpu.py --out gpu-results

Compares captured with called updates, measures decisions a second beside the emulators alone, says
what limits them, and learns Pong. Writes gpu.json and gpu.md. Nothing else should run. Without a
GPU, `--device cpu --quick` tries every part in a minute or so; no figure of that means anything.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

import gpu_parts
from qcade.compute.cores import available_cores
from qcade.compute.hardware import describe_processor, resolve

PARTS = ("check", "rates", "limits", "pong")
LEAST_PONG_SECONDS = 30.0


def measure(parts: list[str], conditions: gpu_parts.Conditions, words: Any, out: Path) -> None:
    """Measure part by part; write after each, so that nothing is lost to a limit of time."""
    started = time.perf_counter()
    found: dict[str, Any] = describe(conditions)
    for part in parts:
        begun = time.perf_counter()
        try:
            if part == "check":
                found[part] = gpu_parts.check(conditions)
            elif part == "rates":
                found[part] = gpu_parts.rates(conditions, words.seconds)
            elif part == "limits":
                found[part] = gpu_parts.limits(conditions)
            else:
                left = words.limit - (begun - started) - words.evaluation_seconds
                seconds = words.seconds if conditions.quick else max(LEAST_PONG_SECONDS, left)
                found[part] = gpu_parts.learn_pong(conditions, seconds)
        except Exception as error:  # one part that fails must not take the others along
            found.setdefault("failed", {})[part] = f"{type(error).__name__}: {error}"
        found.setdefault("seconds", {})[part] = time.perf_counter() - begun
        (out / "gpu.json").write_text(json.dumps(found, indent=1))
        (out / "gpu.md").write_text(markdown(found))
        print(f"{part}: {found['seconds'][part]:.0f} s", file=sys.stderr, flush=True)


def describe(conditions: gpu_parts.Conditions) -> dict[str, Any]:
    """Say what is measured on."""
    hardware = resolve(conditions.compute())
    on_gpu = hardware.device.type == "cuda"
    return {
        "gpu": torch.cuda.get_device_name(hardware.device) if on_gpu else None,
        "processor": describe_processor(),
        "cores": available_cores(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "precision": str(hardware.precision).removeprefix("torch."),
        "game": conditions.game,
        "quick": conditions.quick,
    }


def markdown(found: dict[str, Any]) -> str:
    """Tables of what there is so far."""
    lines = [
        f"{found['gpu'] or 'no GPU'}; {found['processor']}, {found['cores']} cores; torch "
        f"{found['torch']}, {found['precision']}; {found['game']}"
        + ("; a try, no measurement" if found["quick"] else ""),
    ]
    for name, message in found.get("failed", {}).items():
        lines += ["", f"**{name} failed**: {message}"]
    if "check" in found:
        lines += [
            "",
            "| recipe | graphs | refused | disagreement | captured, ms an update | called |",
            "|---|---|---|---|---|---|",
            *(_check_line(figures) for figures in found["check"]),
        ]
    if "rates" in found:
        lines += [
            "",
            "| games | emulators alone | `dqn`, decisions/s | updates/s | `pqn`, overlapping | "
            "updates/s |",
            "|---|---|---|---|---|---|",
            *(_rate_line(figures) for figures in found["rates"]),
        ]
    for figures in found.get("limits", []):
        shares = ", ".join(
            f"{share:.0%} {name}" for name, share in figures["share_of_host_time"].items()
        )
        lines += ["", f"`{figures['recipe']}`: {figures['ms_a_row']:.2f} ms a row; {shares}."]
        lines += ["", "```", figures["profile"], "```"]
    if "pong" in found:
        lines += ["", _pong_line(found["pong"])]
    return "\n".join(lines) + "\n"


def _check_line(figures: dict[str, Any]) -> str:
    if "failed" in figures:
        return f"| `{figures['recipe']}` | failed: {figures['failed'].splitlines()[0]} | | | | |"
    apart = figures["disagreement"]
    return (
        f"| `{figures['recipe']}` | {figures['graphs']} | {figures['refused']} | "
        f"{'' if apart is None else f'{apart:.1e}'} | {figures['captured_ms']:.3f} | "
        f"{figures['called_ms']:.3f} |"
    )


def _rate_line(figures: dict[str, Any]) -> str:
    cells = [f"{figures['games']}", f"{figures['emulators_alone']:,.0f}"]
    for name in ("dqn", "pqn"):
        cells += [
            f"{figures[name][f'{what}_per_second']:,.0f}" for what in ("decisions", "updates")
        ]
    return f"| {' | '.join(cells)} |"


def _pong_line(figures: dict[str, Any]) -> str:
    solved = figures["seconds_to_mean_18_of_30_training_games"]
    reached = (
        f"mean of 30 training games at 18 after {solved:.0f} s"
        if solved is not None
        else "the mean of 30 training games did not reach 18"
    )
    evaluation = figures["evaluation"]
    return (
        f"`{figures['recipe']}`: {reached}; {figures['frames']:,} frames, {figures['updates']:,} "
        f"updates in {figures['seconds']:.0f} s; evaluated: {evaluation['mean']:.2f} "
        f"(+- {evaluation['std']:.2f}) over {evaluation['episodes']} games."
    )


def main() -> None:
    """Measure; exit with 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=PARTS)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.json and gpu.md")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--game", help="pong, or catch for a try")
    parser.add_argument("--quick", action="store_true", help="only see that everything runs")
    parser.add_argument("--seconds", type=float, default=6.0, help="timed, of each rate")
    parser.add_argument("--limit", type=float, default=510.0, help="seconds, all parts together")
    parser.add_argument("--evaluation-seconds", type=float, default=45.0, help="kept for the end")
    words = parser.parse_args()
    if words.device.startswith("cuda") and not torch.cuda.is_available():
        print(
            "there is no CUDA GPU here (or this PyTorch is built without CUDA); "
            "--device cpu --quick tries the script itself",
            file=sys.stderr,
        )
        sys.exit(2)
    if words.quick:
        words.seconds = min(words.seconds, 1.0)
    game = words.game or ("catch" if words.quick else "pong")
    conditions = gpu_parts.Conditions(game, words.device, words.precision, words.quick)
    words.out.mkdir(parents=True, exist_ok=True)
    measure(words.parts, conditions, words, words.out)
    print((words.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
