"""Running the command line, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from qcade.cli.main import run_command

from forked import Forked

TINY_CATCH = (
    "catch --frames 800 --updates.start-frames 200 --replay.capacity 2000 "
    "--checkpoints.period-frames 320 --compute.threads 1"
).split()
"""About 150 updates, three checkpoints."""


Process: TypeAlias = Forked | subprocess.Popen[str]


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def qcade(words: str | list[str], capsys: pytest.CaptureFixture[str]) -> Answer:
    """Run a command in this process."""
    try:
        code = run_command(words.split() if isinstance(words, str) else words)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    captured = capsys.readouterr()
    return Answer(code, captured.out, captured.err)


def start_qcade(words: list[str], folder: Path) -> Process:
    """Start a command in a process of its own, in `folder`."""
    if hasattr(os, "fork"):
        return Forked(words, folder)
    return subprocess.Popen(
        [sys.executable, "-m", "qcade", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def metrics_without_time(run: Path) -> list[str]:
    """Read the lines of metrics.jsonl without the one figure that differs between equal runs."""
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    for line in lines:
        line.pop("seconds", None)
    return [json.dumps(line) for line in lines]
