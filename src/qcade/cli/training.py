"""The commands that train: `train`, `resume` and `fork`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from qcade.cli.background import detach, resume_all
from qcade.cli.doctor import say_what_it_will_take
from qcade.cli.options import named_rom, parse_fork, parse_train
from qcade.cli.reading_options import OptionalInt, OptionalPath, read_options
from qcade.cli.terminal import RUNS, offer, own_modules, screen
from qcade.cli.whole_numbers import with_plain_number
from qcade.games.atari import Atari
from qcade.recipes import find_recipe, is_in_working_folder
from qcade.runs.create import create_default_run, create_run, lengthen_run
from qcade.runs.forking import Fork, fork_run
from qcade.runs.lock import being_written, hold, holder
from qcade.runs.reading.run import Run, open_run
from qcade.runs.requirements import check_requirements, shrink_to_fit
from qcade.runs.train_run import Outcome, train_run
from qcade.shell import quoted, shown
from qcade.training.plan import planned
from qcade.types import QcadeError

DONE, SAVED_NOT_COMPLETE = 0, 75
"""The second is EX_TEMPFAIL, after which schedulers restart a job."""


def train(words: list[str]) -> int:
    """Train an agent on a game; return the exit code."""
    options, recipe = parse_train(words)
    if options.fit:
        requested, recipe = recipe, shrink_to_fit(recipe)
        if recipe != requested:
            frames = recipe.ring_rows * recipe.environments
            screen.print(f"Replay capacity reduced to {frames:,} frames to fit.")
    requirements = check_requirements(recipe, options.out or RUNS)
    own_module, colon, _ = (options.recipe or "").partition(":")
    if colon and not str(options.recipe).endswith(".json"):
        own_modules.extend(["--import", own_module])
    module, colon, _ = (options.env_id or "").rpartition(":")
    if colon and is_in_working_folder(module):
        own_modules.extend(["--import", module])
    # Planned before anything is written: a game that cannot be played leaves no run behind.
    with planned(recipe, requirements.storage) as plan:
        if options.out is None:
            path = create_default_run(RUNS, recipe).path
        else:
            path = create_run(options.out, recipe).path
        # An existing run may have recorded another path of the ROM, which is gone.
        rom = recipe.game.rom if isinstance(recipe.game, Atari) else None
        run = open_run(path, None if rom is None else Path(rom))
        if not options.detach and not run.is_complete():
            if run.frames() == 0 and holder(path) is None:
                say_what_it_will_take(plan, requirements)
            return _end(run, train_run(run, plan, requirements.checkpoint_bytes, screen))
    return _continue(run, options.detach)


@dataclass(frozen=True)
class ResumeOptions:
    """Continue a run from its newest checkpoint."""

    run: Annotated[
        Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")
    ] = None
    """The run directory; with --all the folder of the runs, which is runs by default."""
    frames: OptionalInt = None
    """A new, greater length of the run in emulator frames."""
    fresh_memory: bool = False
    """Continue with an empty replay memory and new games, if the tape cannot be used here."""
    rom: OptionalPath = None
    """Current path of the run's custom ROM file, if it is not found by its checksum."""
    detach: bool = False
    """Continue in the background; the terminal can be closed."""
    all: bool = False
    """Continue, in the background, every run that crashed or was ended by a shutdown."""


def resume(words: list[str]) -> int:
    """Continue a run from its newest checkpoint; return the exit code."""
    options = read_options(ResumeOptions, "resume", words)
    if options.all:
        if options.frames is not None:
            raise QcadeError("--frames is for one run: name it instead of --all")
        if options.fresh_memory:
            raise QcadeError("--fresh-memory is for one run: name it instead of --all")
        if options.rom is not None:
            raise QcadeError("--rom is for one run: name it instead of --all")
        resume_all(options.run or RUNS)
        return DONE
    if options.run is None:
        raise QcadeError("which run? `qcade runs` lists them; --all resumes those that crashed")
    directory = open_run(options.run, options.rom)
    if options.frames is not None:
        with hold(directory.path):
            lengthen_run(directory, options.frames)
    return _continue(directory, options.detach, options.fresh_memory)


def fork(words: list[str]) -> int:
    """Start a new run from a checkpoint of another, with a changed recipe; return the exit code."""
    parent_path = next((Path(w) for w in words[:1] if not w.startswith("-")), None)
    if parent_path is None and "--help" not in words and "-h" not in words:
        raise QcadeError("put the run first: qcade fork RUN --at FRAMES ...")
    parent = find_recipe("dqn")("pong")
    if parent_path is not None:
        parent = open_run(parent_path, named_rom(words)).recipe()
    options, recipe = parse_fork(words, parent)
    requirements = check_requirements(recipe, options.out or options.run)
    with planned(recipe, requirements.storage) as plan:
        at = with_plain_number(options.at)
        forked = fork_run(options.run, at, recipe, options.out, options.rom)
        _print_fork(forked, options.run)
        run = open_run(forked.directory.path)
        if not options.detach:
            return _end(run, train_run(run, plan, requirements.checkpoint_bytes, screen))
    return _continue(run, detached=True)


def _print_fork(forked: Fork, parent: Path) -> None:
    path = forked.directory.path
    screen.print(
        f"{shown(path)} continues from {shown(parent)} at frame "
        f"{forked.directory.frames():,}, changed: {'; '.join(forked.changed) or 'nothing'}"
    )
    if not forked.keeps_memory:
        screen.print(
            "The replay memory starts empty: the parent's is of another game, or no longer stored."
        )


def _continue(run: Run, detached: bool, fresh_memory: bool = False) -> int:
    """Train a run that is on disk, unless it is complete."""
    if run.is_complete():
        screen.print(f"{shown(run.path)} is complete ({run.frames():,} frames).")
        return _print_next_commands(run)
    if detached:
        detach(run.path, fresh_memory, run.rom)
        return DONE
    writer = holder(run.path)
    if writer is not None:
        raise being_written(run.path, writer)
    recipe = run.recipe()
    requirements = check_requirements(recipe, run.path)
    with planned(recipe, requirements.storage) as plan:
        return _end(run, train_run(run, plan, requirements.checkpoint_bytes, screen, fresh_memory))


def _end(run: Run, outcome: Outcome) -> int:
    """Print how a training ended; return the exit code."""
    if outcome == "interrupted":
        screen.print(
            f"Stopped and saved at frame {run.frames():,}. Continue with:\n"
            f"  {offer('resume', run.path, *_rom_options(run))}"
        )
        return SAVED_NOT_COMPLETE
    screen.print(f"Complete: {run.frames():,} frames in {shown(run.path)}.")
    return _print_next_commands(run)


def _print_next_commands(run: Run) -> int:
    path, rom = run.path, _rom_options(run)
    screen.print(
        f"Next:\n  {offer('evaluate', path, *rom)}\n  {offer('video', path, *rom)}\n"
        f"  {quoted('tensorboard', '--logdir', run.tensorboard)}"
    )
    return DONE


def _rom_options(run: Run) -> list[str | Path]:
    """Return the --rom option, needed again if recipe.json has another path."""
    is_elsewhere = run.recipe() != run.recorded_recipe()
    return ["--rom", run.rom] if run.rom is not None and is_elsewhere else []
