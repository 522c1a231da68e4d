"""The provenance of a run: what is needed to judge or repeat it."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from pathlib import Path

import torch

from qcade.compute.hardware import describe_processor, resolve
from qcade.files.package_versions import package_versions
from qcade.recipe.spec import Recipe
from qcade.shell import typed_command
from qcade.types import JSON

PROVENANCE_FORMAT = 1


def provenance(recipe: Recipe) -> dict[str, JSON]:
    """Return the command, versions, machine and protocol of a run, to judge or repeat it."""
    hardware = resolve(recipe.compute)
    device: JSON = describe_processor()
    if hardware.device.type == "cuda":
        device = torch.cuda.get_device_name(hardware.device)
    return {
        "format": PROVENANCE_FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": typed_command(sys.argv),
        "commit": _commit(),
        "versions": {**package_versions(), "python": platform.python_version()},
        "host": platform.node(),
        "system": platform.platform(),
        "processor": describe_processor(),
        "device": device,
        "precision": str(hardware.precision).removeprefix("torch."),
        "threads": hardware.threads,
        "protocol": recipe.game.protocol(),
    }


def _commit() -> str | None:
    source = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=source,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", Path(__file__).name],
            cwd=source,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() if tracked.returncode == 0 else None
