"""A run on disk, as it is read, even while another process trains it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qcade.files.versions import check_version
from qcade.files.whole import read_json
from qcade.parts import Game
from qcade.recipe.as_json import from_json, game_from_json
from qcade.recipe.spec import Recipe
from qcade.runs import layout
from qcade.runs.reading.checkpoints import choose_checkpoint, list_checkpoints
from qcade.runs.reading.evaluations import EvaluationResult, read_evaluations
from qcade.runs.reading.metrics import MetricsReader
from qcade.runs.reading.present_rom import with_present_rom, with_rom_md5
from qcade.tape.format import Tape, TapePosition, read_tape
from qcade.types import JSON, QcadeError

if TYPE_CHECKING:
    from torch import Tensor

LINEAGE_FORMAT = 1


@dataclass(frozen=True)
class Lineage:
    """Where a fork began."""

    at_frames: int
    """Emulator frames of the parent's checkpoint."""
    keeps_memory: bool
    """Whether its replay memory and unfinished games could be kept."""


@dataclass(frozen=True)
class Run:
    """One run on disk."""

    path: Path
    """Its folder."""
    rom: Path | None = None
    """Current path of its ROM; None to search for it by its checksum."""

    @property
    def recipe_file(self) -> Path:
        """Everything that decides the run."""
        return self.path / layout.RECIPE_FILE

    @property
    def metrics_file(self) -> Path:
        """Episodes, means over updates and evaluations: one JSON object per line."""
        return self.path / layout.METRICS_FILE

    @property
    def checkpoints(self) -> Path:
        """One folder per checkpoint."""
        return self.path / layout.CHECKPOINTS_FOLDER

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's files."""
        return self.path / layout.TENSORBOARD_FOLDER

    @property
    def videos(self) -> Path:
        """The default folder of videos."""
        return self.path / layout.VIDEOS_FOLDER

    @property
    def evaluations(self) -> Path:
        """One folder per evaluation."""
        return self.path / layout.EVALUATIONS_FOLDER

    def recipe(self) -> Recipe:
        """Read the run's recipe, with the current path of its ROM."""
        recipe = self.recorded_recipe()
        game = with_present_rom(recipe.game, self.path, self.rom)
        return dataclasses.replace(recipe, game=game)

    def recorded_recipe(self) -> Recipe:
        """Read the run's recipe as written, whose ROM may have been moved since."""
        recipe = from_json(read_json(self.recipe_file))
        return dataclasses.replace(recipe, game=with_rom_md5(recipe.game, self.path))

    def game(self) -> Game:
        """Read the game alone, since the rest of the recipe needs PyTorch."""
        game = with_rom_md5(game_from_json(read_json(self.recipe_file)), self.path)
        return with_present_rom(game, self.path, self.rom)

    def choose_checkpoint(self, wanted: str | int = "newest") -> Path:
        """Find a checkpoint by newest, best or its frame; QcadeError lists the existing ones."""
        return choose_checkpoint(self.checkpoints, wanted)

    def frames(self) -> int:
        """Emulator frames at the newest checkpoint; 0 if there is none."""
        checkpoints = list_checkpoints(self.checkpoints)
        return int(checkpoints[-1].name) if checkpoints else 0

    def is_complete(self) -> bool:
        """Whether the run has reached the recipe's last frame."""
        return self.frames() >= self.recorded_recipe().total_frames

    def metrics(self) -> MetricsReader:
        """Return a reader of its log; each read continues where the last one ended."""
        return MetricsReader(self.metrics_file)

    def tape(self, position: TapePosition | None = None) -> Tape:
        """Read its tape, up to a checkpoint's position or as far as it was written."""
        return read_tape(self.path, position)

    def lineage(self) -> Lineage | None:
        """Return where a fork began; None if it is not one. QcadeError if that cannot be read."""
        path = self.path / layout.LINEAGE_FILE
        if not path.is_file():
            return None
        data = read_json(path)
        # Up to commit 8f59885 it had no version.
        check_version(data.get("format", 1), LINEAGE_FORMAT, str(path))
        frames, keeps_memory = data.get("at_frames"), data.get("keeps_memory")
        if type(frames) is not int or type(keeps_memory) is not bool:
            raise QcadeError(f"{path.name} does not say where the run was forked")
        return Lineage(frames, keeps_memory)

    def evaluation_results(self) -> list[EvaluationResult]:
        """Read its finished evaluations; QcadeError for one that no version wrote."""
        return read_evaluations(self.evaluations)

    def weights(self, wanted: str | int = "newest") -> dict[str, Tensor]:
        """Read the weights of a checkpoint's online network, by name; this loads PyTorch."""
        from qcade.runs.checkpoint import load_weights

        return load_weights(self.choose_checkpoint(wanted))

    def provenance(self) -> dict[str, JSON] | None:
        """Return the content of provenance.json; None if it cannot be read."""
        try:
            return read_json(self.path / layout.PROVENANCE_FILE)
        except QcadeError:
            return None


def open_run(path: Path, rom: Path | None = None) -> Run:
    """Open an existing run; QcadeError if there is none, or `rom` is a different ROM."""
    if not path.exists():
        raise QcadeError(f"there is no run at {path}")
    if not (path / layout.RECIPE_FILE).is_file():
        raise QcadeError(f"{path} is not a run: it has no {layout.RECIPE_FILE}")
    run = Run(path, rom)
    if rom is not None:
        # Raises QcadeError at once if that is not the run's ROM.
        run.recipe()
    return run
