"""Creating runs: folders that appear complete, under a name that no other process takes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

from qcade.files.names import file_name_part
from qcade.files.new_folder import take_name, unfinished_folder
from qcade.files.whole import write_json, writing_to
from qcade.recipe.as_json import differences, to_json
from qcade.recipe.spec import Recipe, validate
from qcade.runs.layout import PROVENANCE_FILE, RECIPE_FILE
from qcade.runs.provenance import provenance
from qcade.runs.reading.checkpoints import list_checkpoints, verify_checkpoint
from qcade.runs.reading.run import Run
from qcade.shell import command_line
from qcade.types import JSON, QcadeError


def create_run(path: Path, recipe: Recipe) -> Run:
    """Create a run at `path`, or open the run that is there already with the same recipe.

    The folder appears complete or not at all. QcadeError if `path` holds anything else, which is
    left unchanged.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise QcadeError(f"{path} is not a folder: choose another --out")
    run = Run(path)
    if not run.recipe_file.is_file():
        origin = provenance(recipe)
        with writing_to(path):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with unfinished_folder(path) as unfinished:
                    fill_run(Run(unfinished), recipe, origin)
                    take_name(unfinished, path)
            elif not any(path.iterdir()):
                # An empty folder may have been prepared inside a folder that is not writable.
                fill_run(run, recipe, origin)
    # Another process may have created a run there first.
    if not run.recipe_file.is_file():
        names = ", ".join(sorted(p.name for p in path.iterdir())[:3])
        raise QcadeError(f"{path} holds something else ({names}): choose another --out")
    changed = differences(run.recorded_recipe(), recipe)
    if changed:
        longer = all(change.startswith("total_frames") for change in changed)
        frames = ["--frames", str(recipe.total_frames)] if longer else []
        resume = command_line("resume", path, *frames)
        raise QcadeError(
            f"{path} holds another run ({'; '.join(changed[:3])}): choose another --out, "
            f"or continue that one with `{resume}`"
        )
    return run


def create_default_run(folder: Path, recipe: Recipe) -> Run:
    """Create a run under its default name in `folder`, or open the one with the same recipe.

    Processes may do this at the same time: no two runs get the same folder.
    """
    path, exists = _default_path(folder, recipe)
    if exists:
        return Run(path)
    origin = provenance(recipe)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(path) as unfinished:
            fill_run(Run(unfinished), recipe, origin)
            while not exists and not take_name(unfinished, path):
                path, exists = _default_path(folder, recipe)
    return Run(path)


def fill_run(run: Run, recipe: Recipe, origin: dict[str, JSON]) -> None:
    """Write the files of a new run into an empty folder; `origin` is its provenance."""
    for folder in (run.checkpoints, run.tensorboard):
        folder.mkdir()
    write_json(run.path / PROVENANCE_FILE, origin)
    # Written last: a folder with a recipe counts as a run.
    write_json(run.recipe_file, to_json(recipe))


def lengthen_run(run: Run, total_frames: int) -> None:
    """Change the length of a run; QcadeError if it is past that already, or cannot be resumed.

    A run without a checkpoint starts from the beginning, so it may also become shorter.
    """
    longer = dataclasses.replace(run.recorded_recipe(), total_frames=total_frames)
    validate(longer)
    for newest in list_checkpoints(run.checkpoints)[-1:]:
        verify_checkpoint(newest)
    if total_frames < run.frames():
        raise QcadeError(
            f"{run.path} is already at frame {run.frames():,}, so its length cannot be "
            f"{total_frames:,}: --frames must be greater"
        )
    with writing_to(run.path):
        write_json(run.recipe_file, to_json(longer))


def _default_path(folder: Path, recipe: Recipe) -> tuple[Path, bool]:
    """Return the default folder of a run, and whether the run already exists there."""
    name = f"{file_name_part(recipe.game.slug)}-{file_name_part(recipe.name)}"
    number = 1
    while os.path.lexists(path := folder / f"{name}-{number}"):
        if (path / RECIPE_FILE).is_file():
            with contextlib.suppress(QcadeError):
                if not differences(Run(path).recorded_recipe(), recipe):
                    return path, True
        number += 1
    return path, False


def fork_path(parent: Path) -> Path:
    """Return the default path of a fork: next to its parent, under the next free name."""
    if parent.name in ("", ".."):
        parent = parent.resolve()
    number = 1
    while True:
        path = parent.with_name(f"{file_name_part(parent.name)}-fork-{number}")
        if not os.path.lexists(path):
            return path
        number += 1
