"""The commands that train: `train`, `resume` and `fork`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qcade.cli_background import detach, resume_all
from qcade.cli_doctor import say_what_it_will_take
from qcade.games.atari import Atari
from qcade.options import named_rom, parse_fork, parse_train
from qcade.reading_options import read_options
from qcade.recipes import find_recipe, is_in_working_folder
from qcade.runs.carrying_out import carry_out
from qcade.runs.directory import (
    RunDirectory,
    create_default_run,
    create_run,
    lengthen_run,
    open_run,
)
from qcade.runs.forking import fork_run
from qcade.runs.lock import hold, holder
from qcade.runs.needs import check_needs, fitted
from qcade.shell import quoted, shown
from qcade.terminal import RUNS, offer, own_modules, screen
from qcade.types import QcadeError
from qcade.whole_numbers import with_plain_number

DONE, SAVED_NOT_COMPLETE = 0, 75
"""The second is EX_TEMPFAIL, after which schedulers start a job again."""


def train(words: list[str]) -> int:
    """Train an agent on a game; return the exit code."""
    options, recipe = parse_train(words)
    if options.fit:
        asked, recipe = recipe, fitted(recipe)
        if recipe != asked:
            frames = recipe.ring_rows * recipe.environments
            screen.print(f"Replay capacity reduced to {frames:,} frames to fit.")
    check_needs(recipe, options.out or RUNS)
    own_module, colon, _ = (options.recipe or "").partition(":")
    if colon and not str(options.recipe).endswith(".json"):
        own_modules.extend(["--import", own_module])
    module, colon, _ = (options.env_id or "").rpartition(":")
    if colon and is_in_working_folder(module):
        own_modules.extend(["--import", module])
    if options.out is None:
        path = create_default_run(RUNS, recipe).path
    else:
        path = create_run(options.out, recipe).path
    if open_run(path).frames() == 0 and holder(path) is None:
        say_what_it_will_take(recipe)
    # That of the same run may have been another file, which is gone.
    rom = recipe.game.rom if isinstance(recipe.game, Atari) else None
    return _train_run(open_run(path, None if rom is None else Path(rom)), options.detach)


@dataclass(frozen=True)
class ResumeOptions:
    """Continue a run from its newest checkpoint."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """The run directory; with --all the folder of the runs, which is runs by default."""
    frames: int | None = None
    """A new, greater length of the run in emulator frames."""
    fresh_memory: bool = False
    """Continue with an empty replay memory and new games, if the tape cannot be played here."""
    rom: Path | None = None
    """Where the run's own ROM file is now, if it is not found by its checksum."""
    detach: bool = False
    """Continue in the background; the terminal can be closed."""
    all: bool = False
    """Continue, in the background, every run that crashed or went down with the machine."""


def resume(words: list[str]) -> int:
    """Continue a run from its newest checkpoint; return the exit code."""
    options = read_options(ResumeOptions, "resume", words)
    if options.all:
        if options.frames is not None:
            raise QcadeError("--frames makes one run longer: name it instead of --all")
        if options.fresh_memory:
            raise QcadeError("--fresh-memory is for one run: name it instead of --all")
        if options.rom is not None:
            raise QcadeError("--rom is for one run: name it instead of --all")
        resume_all(options.run or RUNS)
        return DONE
    if options.run is None:
        raise QcadeError("which run? `qcade runs` lists them; --all takes up those that crashed")
    directory = open_run(options.run, options.rom)
    if options.frames is not None:
        with hold(directory.path):
            lengthen_run(directory, options.frames)
    return _train_run(directory, options.detach, options.fresh_memory)


def fork(words: list[str]) -> int:
    """Start a new run from a checkpoint of another, with a changed recipe; return the exit code."""
    named = next((Path(w) for w in words[:1] if not w.startswith("-")), None)
    if named is None and "--help" not in words and "-h" not in words:
        raise QcadeError("put the run first: qcade fork RUN --at FRAMES ...")
    parent = find_recipe("dqn")("pong")
    if named is not None:
        parent = open_run(named, named_rom(words)).recipe()
    options, recipe = parse_fork(words, parent)
    check_needs(recipe, options.out or options.run)
    made = fork_run(options.run, with_plain_number(options.at), recipe, options.out, options.rom)
    path = made.directory.path
    screen.print(
        f"{shown(path)} continues from {shown(options.run)} at frame "
        f"{made.directory.frames():,}, changed: {'; '.join(made.changed) or 'nothing'}"
    )
    if not made.keeps_memory:
        screen.print(
            "The memory cannot be kept, being of another game or no longer stored: it starts empty."
        )
    return _train_run(open_run(path), options.detach)


def _train_run(directory: RunDirectory, detached: bool, fresh_memory: bool = False) -> int:
    path, recipe = directory.path, directory.recipe()
    # To be named again where recipe.json names another place.
    is_elsewhere = recipe != directory.recorded_recipe()
    rom: list[str | Path] = []
    if directory.rom is not None and is_elsewhere:
        rom = ["--rom", directory.rom]
    if directory.is_complete():
        screen.print(f"{shown(path)} is complete ({directory.frames():,} frames).")
    elif detached:
        detach(path, fresh_memory, directory.rom)
        return DONE
    elif carry_out(directory, recipe, screen, fresh_memory) == "interrupted":
        screen.print(
            f"Stopped and saved at frame {directory.frames():,}. Continue with:\n"
            f"  {offer('resume', path, *rom)}"
        )
        return SAVED_NOT_COMPLETE
    else:
        screen.print(f"Complete: {directory.frames():,} frames in {shown(path)}.")
    screen.print(
        f"Next:\n  {offer('evaluate', path, *rom)}\n  {offer('video', path, *rom)}\n"
        f"  {quoted('tensorboard', '--logdir', path / 'tensorboard')}"
    )
    return DONE
