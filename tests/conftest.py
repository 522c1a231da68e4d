"""Loaded before any test imports PyTorch, so that its threads wait as they do in the command."""

import os

# Test processes run beside each other, one a core: with more threads each they only wait for each
# other, and some take three times as long. Trainings that are started by tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import qcade  # noqa: F401
from qcade.compiler_on_demand import import_compiler_on_demand

import_compiler_on_demand()
