"""PyTorch's compiler is imported by those who compile, and by nobody else."""

from __future__ import annotations

import subprocess
import sys

HEAD = """
import sys
from qcade.compute.compiler_on_demand import import_compiler_on_demand
import_compiler_on_demand()
import torch
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.Adam([weight], fused=True)
"""
STEP = """
optimizer.zero_grad()
weight.sum().backward()
optimizer.step()
"""
IMPORTED = "print('torch._dynamo.symbolic_convert' in sys.modules, weight.tolist())"


def says(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_optimizers_and_the_meta_device_do_without_it() -> None:
    meta = "torch.relu(torch.ones(3, device='meta')).normal_()\n"
    assert says(HEAD + STEP + meta + IMPORTED).startswith("False [0.99")


def test_whoever_compiles_gets_all_of_it_and_the_same_steps() -> None:
    compiled = (
        "double = torch.compile(lambda x: 2 * x, backend='eager')\n"
        "assert double(torch.ones(2)).tolist() == [2, 2]\n"
        "import torch._dynamo.config\n"
        "assert torch._dynamo.config.recompile_limit > 0\n"
    )
    before = says(HEAD + STEP + STEP + IMPORTED)
    after = says(HEAD + STEP + compiled + STEP + IMPORTED)
    assert before.removeprefix("False") == after.removeprefix("True")


def test_modules_that_are_looked_through_stay_as_they_are() -> None:
    looking = "import inspect\ninspect.getmodule(looked)\n"
    assert says(HEAD + "def looked(): pass\n" + looking + IMPORTED).startswith("False")
