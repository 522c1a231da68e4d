"""What `import qcade` gives, and what it leaves for later."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import qcade

PROGRAM = """
import os, sys
import qcade
from qcade.cli.main import run_command
assert os.environ["GOMP_SPINCOUNT"] == "10000"
for words in (["--version"], ["--help"], ["games"], ["games", "--json"]):
    assert run_command(words) == 0
assert "torch" not in sys.modules
assert qcade.train.__module__ == "qcade.training.loop"
assert "torch" in sys.modules
from qcade import *
assert Agent is qcade.Agent and load is qcade.load
"""


def test_pytorch_is_loaded_when_it_is_needed() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT",)}
    environment.pop("OMP_WAIT_POLICY", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_exported_name_is_there_and_listed() -> None:
    assert set(qcade.__all__) <= set(dir(qcade))
    for name in qcade.__all__:
        assert getattr(qcade, name) is not None
    # The rooms of the package too, without a further import.
    assert qcade.recipes.make_recipe is qcade.make_recipe
    assert issubclass(qcade.types.RunFailed, qcade.QcadeError)


@pytest.mark.parametrize("name", ["nothing", "_private", "cli.main"])
def test_other_names_are_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(qcade, name)
