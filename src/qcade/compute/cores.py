"""How many CPU cores this process may keep busy; does not import PyTorch."""

from __future__ import annotations

import os
import re

from qcade.compute.control_groups import read_limits


def available_cores() -> int:
    """CPU cores that this process may keep busy; at least 1.

    The cores it may run on, or its container's limit if lower; half a core counts as one.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, read_limits().cores or cores))


def default_threads() -> int:
    """Threads to use if a recipe sets none: all cores, or OMP_NUM_THREADS if lower.

    In a list such as 4,2 the first number counts; anything but a positive whole number is ignored.
    """
    named = re.match(r"\s*0*([1-9][0-9]{0,8})\s*(?:,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    return min(available_cores(), int(named[1])) if named else available_cores()
