"""Commands that only look at files do not load PyTorch, which takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNS = Path(__file__).parent / "old_runs" / "8f59885"
PROGRAM = """
import sys
from qcade.cli.main import run_command
try:
    code = run_command(sys.argv[1:])
except SystemExit as left:
    code = left.code
print(code, "torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["runs", str(RUNS)], 0),
        (["games"], 0),
        (["episodes", str(RUNS / "frames")], 0),
        (["attach", str(RUNS / "frames")], 0),
        (["stop", str(RUNS / "frames")], 2),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else str(value),
)
def test_a_quick_command_does_not_load_pytorch(words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1].split() == [str(code), "False"]
