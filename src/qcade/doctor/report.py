"""The doctor's findings as human-readable tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table

from qcade.doctor.estimates import Costs, Estimate, seconds_per_decision
from qcade.doctor.examination import Findings

HOURS_PER_DAY = 24.0


def report(findings: Findings) -> Iterator[RenderableType]:
    """Yield the tables and sentences of the report, in order."""
    machine = findings.machine
    yield (
        f"{machine.processor}; {_counted(machine.cores, 'core')}; networks on {machine.device}; "
        f"torch {machine.torch}"
    )
    yield (
        f"free: {gigabytes(machine.available_memory_bytes)} of memory, "
        f"{gigabytes(machine.free_disk_bytes)} of disk; memory copies "
        f"{findings.memory_bytes_per_second / 1e9:.1f} GB/s\n"
    )
    yield emulator_table(findings)
    yield ""
    yield update_table(findings)
    yield f"\n{advice(findings)}\n"
    yield recipe_table(findings)
    yield (
        "\nenvs: emulators in parallel. Updates, acting, emulators: shares of the time while "
        "learning.\nabout: computed from multiply-adds, not measured."
    )


def emulator_table(findings: Findings) -> Table:
    """Decisions per second by environments and threads."""
    rates = {
        (_counted(s.environments, "environment"), s.threads): f"{s.decisions_per_second:,.0f}"
        for s in sorted(findings.emulators, key=lambda speed: speed.environments)
    }
    return _by_threads("emulators alone, decisions/s", rates)


def update_table(findings: Findings) -> Table:
    """Updates per second by precision and threads."""
    rates = {(s.precision, s.threads): f"{s.updates_per_second:,.1f}" for s in findings.updates}
    return _by_threads("Nature network, updates/s", rates)


def _by_threads(title: str, rates: Mapping[tuple[str, int], str]) -> Table:
    threads = sorted({t for _, t in rates})
    table = Table(title, box=None, pad_edge=False)
    for t in threads:
        table.add_column(_counted(t, "thread"), justify="right")
    for name in dict.fromkeys(name for name, _ in rates):
        table.add_row(name, *(rates[name, t] for t in threads))
    return table


def advice(findings: Findings) -> str:
    """The fastest settings, and the options that select them if they are not the defaults."""
    best = findings.best
    options = []
    if best.threads != findings.machine.cores:
        options.append(f"--compute.threads {best.threads}")
    if best.precision != findings.updates[-1].precision:
        options.append(f"--compute.precision {best.precision}")
    fastest = f"Updates are fastest in {best.precision} on {_counted(best.threads, 'thread')}"
    rate = f"{findings.multiply_adds_per_second / 1e9:,.0f} billion multiply-adds/s"
    if not options:
        return f"{fastest} ({rate}): these are the defaults."
    return f"{fastest} ({rate}): train with {' '.join(options)}."


def recipe_table(findings: Findings) -> Table:
    """The estimate for each recipe."""
    table = Table("recipe", box=None, pad_edge=False)
    for title in ("time", "frames", "decisions/s", "envs", "updates", "acting", "emulators"):
        table.add_column(title, justify="right")
    for title in ("memory", "disk", ""):
        table.add_column(title, justify="left" if not title else "right")
    machine = findings.machine
    for found in findings.recipes:
        table.add_row(
            found.recipe,
            time_of(found),
            f"{found.total_frames / 1e6:,.3g}M",
            rate_of(found),
            str(found.environments),
            *(f"{share:.0%}" for share in shares(found.costs)),
            gigabytes(found.memory_bytes),
            gigabytes(found.disk_bytes),
            remarks(found, machine.free_disk_bytes),
        )
    return table


def remarks(found: Estimate, free_disk_bytes: int) -> str:
    """What prevents a recipe from running here; an empty string if nothing does."""
    problems = []
    if not found.fits_memory:
        problems.append("too little memory: --fit halves the replay")
    if found.disk_bytes > free_disk_bytes:
        problems.append("too little disk")
    return "; ".join(problems)


def shares(costs: Costs) -> tuple[float, float, float]:
    """Shares of updates, acting and emulators in the time of a decision while learning.

    Their sum exceeds 1 if emulators and updates overlap.
    """
    whole = seconds_per_decision(costs, is_learning=True)
    return costs.learning / whole, costs.acting / whole, costs.emulating / whole


def sentence(found: Estimate) -> str:
    """The estimate that is printed when a run starts."""
    updates, acting, emulators = shares(found.costs)
    how = (
        f"measured on {_counted(found.costs.measured_updates, 'update')}"
        if found.costs.measured_updates
        else f"computed from {found.costs.multiply_adds / 1e9:,.1f} billion multiply-adds/update"
    )
    return (
        f"The whole run takes {time_of(found)} here: {rate_of(found)} decisions/s "
        f"(updates {updates:.0%}, acting {acting:.0%}, emulators {emulators:.0%}; {how}), "
        f"{gigabytes(found.memory_bytes)} of memory, {gigabytes(found.disk_bytes)} of disk."
    )


def busy_sentence(cores: float) -> str:
    """The warning that other programs affect the estimate."""
    return f"Other programs are using {cores:.1f} cores; without them the run would be faster."


def time_of(found: Estimate) -> str:
    """How long a run will take, human-readable; two digits, the precision of the estimate."""
    about = "" if found.costs.measured_updates else "about "
    hours = found.hours
    if hours >= 2 * HOURS_PER_DAY:
        return f"{about}{_two_digits(hours / HOURS_PER_DAY)} days"
    if hours >= 1.0:
        return f"{about}{_two_digits(hours)} h"
    return f"{about}{_two_digits(max(60 * hours, 0.1))} min"


def rate_of(found: Estimate) -> str:
    """Decisions per second; below 10, two digits."""
    rate = found.decisions_per_second
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def gigabytes(size: float) -> str:
    """A size in GB, human-readable."""
    return f"{size / 1e9:,.1f} GB"


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.10g}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
