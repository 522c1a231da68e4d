"""The run directory: where everything of a run lies, and who made it."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from qcade.files.whole import read_json, write_json, writing_to
from qcade.machine import describe_processor, resolve
from qcade.recipe import Recipe
from qcade.recipe_json import differences, from_json, to_json
from qcade.runs.checkpoint import list_checkpoints, verify_checkpoint
from qcade.types import JSON, QcadeError

VERSIONED_PACKAGES = ("qcade", "torch", "ale-py", "gymnasium", "numpy", "safetensors")


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk."""

    path: Path
    """Its folder."""

    @property
    def recipe_file(self) -> Path:
        """Everything that decides the run."""
        return self.path / "recipe.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """One folder a checkpoint."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's files."""
        return self.path / "tensorboard"

    @property
    def videos(self) -> Path:
        """Where videos go by default."""
        return self.path / "videos"

    @property
    def evaluations(self) -> Path:
        """Where evaluations go."""
        return self.path / "evaluations"

    def recipe(self) -> Recipe:
        """Read the run's recipe."""
        return from_json(read_json(self.recipe_file))

    def newest_checkpoint(self) -> Path:
        """The checkpoint to go on from; QcadeError if there is none yet."""
        found = list_checkpoints(self.checkpoints)
        if not found:
            raise QcadeError(f"{self.path} has no checkpoint yet: let it train until the first one")
        return found[-1]

    def frames(self) -> int:
        """Emulator frames at the newest checkpoint; 0 if there is none."""
        found = list_checkpoints(self.checkpoints)
        return int(found[-1].name) if found else 0

    def is_complete(self) -> bool:
        """Whether the run has reached the recipe's last frame."""
        return self.frames() >= self.recipe().total_frames


def open_run(path: Path) -> RunDirectory:
    """Open an existing run; QcadeError if there is none."""
    if not path.exists():
        raise QcadeError(f"there is no run at {path}")
    if not (path / "recipe.json").is_file():
        raise QcadeError(f"{path} is not a run: it has no recipe.json")
    return RunDirectory(path)


def create_run(path: Path, recipe: Recipe) -> RunDirectory:
    """Make a run directory, or open the one that holds the same recipe.

    A folder that holds anything else is refused with QcadeError, and left as it is.
    """
    if path.exists() and not path.is_dir():
        raise QcadeError(f"{path} is a file: choose another --out")
    directory = RunDirectory(path)
    if directory.recipe_file.is_file():
        changed = differences(directory.recipe(), recipe)
        if changed:
            longer = all(change.startswith("total_frames") for change in changed)
            frames = f" --frames {recipe.total_frames}" if longer else ""
            raise QcadeError(
                f"{path} holds another run ({'; '.join(changed[:3])}): choose another --out, "
                f"or go on with that one by `qcade resume {path}{frames}`"
            )
        return directory
    origin = provenance(recipe)
    with writing_to(path):
        if path.exists() and any(path.iterdir()):
            names = ", ".join(sorted(p.name for p in path.iterdir())[:3])
            raise QcadeError(f"{path} holds something else ({names}): choose another --out")
        path.mkdir(parents=True, exist_ok=True)
        for folder in (directory.checkpoints, directory.tensorboard):
            folder.mkdir()
        write_json(path / "provenance.json", origin)
        write_json(directory.recipe_file, to_json(recipe))
    return directory


def lengthen_run(directory: RunDirectory, total_frames: int) -> None:
    """Give a run more frames; QcadeError if that would cut what it has, or it cannot go on."""
    recipe = directory.recipe()
    verify_checkpoint(directory.newest_checkpoint())
    if total_frames < directory.frames():
        raise QcadeError(
            f"{directory.path} is at frame {directory.frames():,} already: --frames must be more"
        )
    with writing_to(directory.path):
        longer = dataclasses.replace(recipe, total_frames=total_frames)
        write_json(directory.recipe_file, to_json(longer))


def run_for(folder: Path, recipe: Recipe) -> Path:
    """Where a run of this recipe goes by default: the same recipe's folder, or the next free."""
    number = 1
    while True:
        path = folder / f"{recipe.game.slug}-{recipe.name}-{number}"
        if not path.exists():
            return path
        if (path / "recipe.json").is_file():
            try:
                if not differences(RunDirectory(path).recipe(), recipe):
                    return path
            except QcadeError:
                pass
        number += 1


def fork_path(parent: Path) -> Path:
    """Where a fork goes by default: beside its parent."""
    if parent.name in ("", ".."):
        parent = parent.resolve()
    number = 1
    while (path := parent.with_name(f"{parent.name}-fork-{number}")).exists():
        number += 1
    return path


def provenance(recipe: Recipe) -> dict[str, JSON]:
    """What a stranger needs to judge or repeat the run."""
    hardware = resolve(recipe.compute)
    device: JSON = describe_processor()
    if hardware.device.type == "cuda":
        device = torch.cuda.get_device_name(hardware.device)
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(
            Path(sys.argv[0]).name if i == 0 else a for i, a in enumerate(sys.argv)
        ),
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


def package_versions() -> dict[str, JSON]:
    """Versions of the packages that a result depends on."""
    versions: dict[str, JSON] = {}
    for name in VERSIONED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _commit() -> str | None:
    source = Path(__file__).parent
    try:
        found = subprocess.run(
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
    return found.stdout.strip() if tracked.returncode == 0 else None
