"""Loaded before any test imports PyTorch, so that its threads wait as they do in the command."""

import qcade  # noqa: F401
