"""Loaded before any test imports PyTorch, so that its threads wait as they do in the command."""

import os
import random

import numpy as np
import pytest

# Test processes run beside each other, one a core: with more threads each they only wait for each
# other, and some take three times as long. Trainings that are started by tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import qcade  # noqa: F401
from qcade.compute.compiler_on_demand import import_compiler_on_demand

import_compiler_on_demand()


@pytest.fixture(autouse=True)
def same_numbers_every_time() -> None:
    """Weights and data that a test draws without a generator of its own do not vary by run."""
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
