"""The run directory: where everything of a run lies, and who made it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from qcade.files.names import file_name_part
from qcade.files.new_folder import take_name, unfinished_folder
from qcade.files.whole import read_json, write_json, writing_to
from qcade.machine import describe_processor, resolve
from qcade.recipe import Recipe, validate
from qcade.recipe_json import differences, from_json, to_json
from qcade.runs.checkpoint import list_checkpoints, verify_checkpoint
from qcade.runs.present_rom import with_present_rom, with_rom_md5
from qcade.shell import command_line, typed_command
from qcade.types import JSON, QcadeError

PROVENANCE_FORMAT = 1
VERSIONED_PACKAGES = ("qcade", "torch", "ale-py", "gymnasium", "numpy", "safetensors")


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk."""

    path: Path
    """Its folder."""
    rom: Path | None = None
    """Where its ROM is now; None to look for it by its checksum."""

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
        """Read the run's recipe, with the place where its ROM is now."""
        return with_present_rom(self.recorded_recipe(), self.path, self.rom)

    def recorded_recipe(self) -> Recipe:
        """Read the run's recipe as it is written, where a ROM may have been moved since."""
        return with_rom_md5(from_json(read_json(self.recipe_file)), self.path)

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
        return self.frames() >= self.recorded_recipe().total_frames


def open_run(path: Path, rom: Path | None = None) -> RunDirectory:
    """Open an existing run; QcadeError if there is none, or `rom` is another than it played."""
    if not path.exists():
        raise QcadeError(f"there is no run at {path}")
    if not (path / "recipe.json").is_file():
        raise QcadeError(f"{path} is not a run: it has no recipe.json")
    directory = RunDirectory(path, rom)
    if rom is not None:
        # Says at once whether that is the run's ROM.
        directory.recipe()
    return directory


def create_run(path: Path, recipe: Recipe) -> RunDirectory:
    """Make a run directory, or open the one that holds the same recipe.

    It appears whole or not at all. A folder that holds anything else is refused with QcadeError,
    and left as it is.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise QcadeError(f"{path} is not a folder: choose another --out")
    directory = RunDirectory(path)
    if not directory.recipe_file.is_file():
        origin = provenance(recipe)
        with writing_to(path):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with unfinished_folder(path) as unfinished:
                    fill_run(RunDirectory(unfinished), recipe, origin)
                    take_name(unfinished, path)
            elif not any(path.iterdir()):
                # Made for us, perhaps in a folder that we must not write to.
                fill_run(directory, recipe, origin)
    # Another process may have been faster.
    if not directory.recipe_file.is_file():
        names = ", ".join(sorted(p.name for p in path.iterdir())[:3])
        raise QcadeError(f"{path} holds something else ({names}): choose another --out")
    changed = differences(directory.recorded_recipe(), recipe)
    if changed:
        longer = all(change.startswith("total_frames") for change in changed)
        frames = ["--frames", str(recipe.total_frames)] if longer else []
        resume = command_line("resume", path, *frames)
        raise QcadeError(
            f"{path} holds another run ({'; '.join(changed[:3])}): choose another --out, "
            f"or continue that one by `{resume}`"
        )
    return directory


def create_default_run(folder: Path, recipe: Recipe) -> RunDirectory:
    """Make a run under its default name in `folder`, or open the one there of the same recipe.

    However many processes do so at the same time, every run has a folder of its own.
    """
    path, is_made = _default_place(folder, recipe)
    if is_made:
        return RunDirectory(path)
    origin = provenance(recipe)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(path) as unfinished:
            fill_run(RunDirectory(unfinished), recipe, origin)
            while not is_made and not take_name(unfinished, path):
                path, is_made = _default_place(folder, recipe)
    return RunDirectory(path)


def fill_run(directory: RunDirectory, recipe: Recipe, origin: dict[str, JSON]) -> None:
    """Make a run of an empty folder; `origin` is its provenance."""
    for folder in (directory.checkpoints, directory.tensorboard):
        folder.mkdir()
    write_json(directory.path / "provenance.json", origin)
    # Last, since it makes a run of a folder.
    write_json(directory.recipe_file, to_json(recipe))


def lengthen_run(directory: RunDirectory, total_frames: int) -> None:
    """Give a run another length; QcadeError if it has more already, or could not continue.

    A run without a checkpoint begins anew, so that it may also become shorter.
    """
    longer = dataclasses.replace(directory.recorded_recipe(), total_frames=total_frames)
    validate(longer)
    for newest in list_checkpoints(directory.checkpoints)[-1:]:
        verify_checkpoint(newest)
    if total_frames < directory.frames():
        raise QcadeError(
            f"{directory.path} is at frame {directory.frames():,} already, so that its length "
            f"cannot become {total_frames:,}: --frames must be more"
        )
    with writing_to(directory.path):
        write_json(directory.recipe_file, to_json(longer))


def _default_place(folder: Path, recipe: Recipe) -> tuple[Path, bool]:
    """A run's default folder, and whether the run is there already."""
    name = f"{file_name_part(recipe.game.slug)}-{file_name_part(recipe.name)}"
    number = 1
    while os.path.lexists(path := folder / f"{name}-{number}"):
        if (path / "recipe.json").is_file():
            with contextlib.suppress(QcadeError):
                if not differences(RunDirectory(path).recorded_recipe(), recipe):
                    return path, True
        number += 1
    return path, False


def fork_path(parent: Path) -> Path:
    """Where a fork goes by default: beside its parent, under the next free name."""
    if parent.name in ("", ".."):
        parent = parent.resolve()
    number = 1
    while True:
        path = parent.with_name(f"{file_name_part(parent.name)}-fork-{number}")
        if not os.path.lexists(path):
            return path
        number += 1


def provenance(recipe: Recipe) -> dict[str, JSON]:
    """What a stranger needs to judge or repeat the run."""
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
