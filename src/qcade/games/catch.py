"""Catch: a ball falls and a paddle catches it; needs no ROM and is learned in minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from qcade.games.seeds import environment_seeds
from qcade.parts import Game, always
from qcade.types import JSON, BoolArray, CellPixels, FilmedStep, IntArray, TimeStep, UInt8Array

_CELLS = 7
_PADDLE_ROW = _CELLS - 1
_BALL_GREY, _PADDLE_GREY = 255, 128


@dataclass(frozen=True)
class Catch(Game):
    """A ball falls in one of 7 columns: 1 point if the paddle catches it, else -1."""

    cell_pixels: CellPixels = 12
    """Height and width of a cell in pixels; 12 gives 84x84 observations, as for Atari games."""

    @property
    def slug(self) -> str:
        """Always `catch`."""
        return "catch"

    @property
    def frame_shape(self) -> tuple[int, int]:
        """H and W of an observation."""
        return _CELLS * self.cell_pixels, _CELLS * self.cell_pixels

    @property
    def is_small(self) -> bool:
        """Yes."""
        return True

    def resized(self, pixels: int) -> Catch:
        """The same game with cells of another size."""
        return Catch(cell_pixels=max(1, pixels // _CELLS))

    @property
    def frames_per_decision(self) -> int:
        """Always 1."""
        return 1

    def open(self, environments: int, seed: int, threads: int = 0) -> CatchEnvironments:
        """Start E games in the calling thread; game i does not depend on E."""
        return CatchEnvironments(environment_seeds(seed, environments), self.cell_pixels)

    @property
    def is_replayable(self) -> bool:
        """Yes."""
        return True

    @property
    def pictures_per_second(self) -> float:
        """Slow enough to follow the ball."""
        return 6.0

    def film(
        self,
        emulator_seed: int,
        actions: Iterable[int],
        is_shown: Callable[[int], bool] = always,
    ) -> Iterator[FilmedStep]:
        """Recreate one game from a seed."""
        game = CatchEnvironments(np.array([emulator_seed]), self.cell_pixels)
        game.reset()
        for number, action in enumerate(actions):
            game.send(np.array([action]))
            step = game.recv()
            pictures = [step.frame[0, :, :, None].repeat(3, axis=2)] if is_shown(number) else []
            yield FilmedStep(pictures, float(step.reward[0]), bool(step.first[0]))

    def protocol(self) -> dict[str, JSON]:
        """The rules, which have no settings."""
        return {
            "kind": "catch",
            "game": self.slug,
            "rules": f"{_CELLS}x{_CELLS} cells, one ball an episode",
            "observation": "{}x{} grey".format(*self.frame_shape),
        }


class CatchEnvironments:
    """E games of Catch, stepped together in numpy; see `Environments`."""

    def __init__(self, seeds: IntArray, cell_pixels: int = 12) -> None:
        """Prepare one game for each seed, int64 [E]."""
        self._cell_pixels = cell_pixels
        self._randomness = [np.random.Generator(np.random.PCG64(int(seed))) for seed in seeds]
        self._row = np.zeros(len(seeds), np.int64)
        self._column = np.zeros(len(seeds), np.int64)
        self._paddle = np.zeros(len(seeds), np.int64)
        self._ended = np.ones(len(seeds), np.bool_)
        self._actions: IntArray | None = None

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """LEFT, NOOP and RIGHT move the paddle by -1, 0 and 1 cells."""
        return ("LEFT", "NOOP", "RIGHT")

    def reset(self) -> TimeStep:
        """Open one episode in every game, continuing each game's random generator."""
        self._ended[:] = True
        self._actions = np.ones(len(self._ended), np.int64)
        return self.recv()

    def send(self, actions: IntArray) -> None:
        """Store the actions, int64 [E] in 0..2, for `recv`."""
        if actions.shape != self._paddle.shape or actions.min() < 0 or actions.max() > 2:
            raise ValueError(f"actions must be {len(self._paddle)} numbers in 0..2: {actions}")
        self._actions = actions.astype(np.int64)

    def recv(self) -> TimeStep:
        """Advance every game by one decision."""
        if self._actions is None:
            raise ValueError("send actions before receiving")
        actions, self._actions = self._actions, None
        first = self._ended.copy()
        self._row += 1
        self._paddle = np.clip(self._paddle + actions - 1, 0, _CELLS - 1)
        self._open_episodes(first)
        self._ended = self._row == _PADDLE_ROW
        points = np.where(self._column == self._paddle, 1, -1)
        return TimeStep(
            frame=self._draw(),
            reward=np.where(self._ended, points, 0).astype(np.float32),
            discount=(~self._ended).astype(np.float32),
            first=first,
        )

    def reseed(self, environments: IntArray, seeds: IntArray) -> UInt8Array:
        """Open episodes with new seeds: int64 [n] and [n] -> uint8 [n, H, W]."""
        for i, seed in zip(environments, seeds, strict=True):
            self._randomness[i] = np.random.Generator(np.random.PCG64(int(seed)))
        self._open_episodes(np.isin(np.arange(len(self._row)), environments))
        self._ended[environments] = False
        return self._draw()[environments]

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def _open_episodes(self, where: BoolArray) -> None:
        self._row[where] = 0
        self._paddle[where] = _CELLS // 2
        for i in np.flatnonzero(where):
            self._column[i] = self._randomness[i].integers(_CELLS)

    def _draw(self) -> UInt8Array:
        environments = np.arange(len(self._row))
        cells = np.zeros((len(self._row), _CELLS, _CELLS), np.uint8)
        cells[environments, _PADDLE_ROW, self._paddle] = _PADDLE_GREY
        cells[environments, self._row, self._column] = _BALL_GREY
        return cells.repeat(self._cell_pixels, axis=1).repeat(self._cell_pixels, axis=2)
