"""Videos of training episodes, from a run's tape: one file per episode, or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcade.events import Episode
from qcade.runs.reading.run import Run
from qcade.types import FilmedStep, QcadeError, UInt8Array
from qcade.watch.episodes import RecordedRun, choose, read_run
from qcade.watch.sizes import Canvas
from qcade.watch.strips import caption_strip
from qcade.watch.tape_films import check_score, film_each, film_one
from qcade.watch.video_file import VideoFile, pictures_within, video_format

MOST_PANELS = 12
_PANEL_WIDTH, _GAP, _GAP_GREY = 320, 8, 60


@dataclass(frozen=True)
class EpisodeVideo:
    """A video that was written."""

    path: Path
    """The file."""
    episodes: tuple[Episode, ...]
    """The episodes in it, from left to right."""
    seconds: float
    """Duration in seconds."""
    is_whole: bool
    """Whether every episode is shown to its end, which implies that the scores are as recorded."""


@dataclass(frozen=True)
class EpisodeVideoRequest:
    """The settings of videos of episodes."""

    episodes: str
    """Which episodes, as `choose` reads them."""
    out: Path | None = None
    """The file; None for one in the run's videos folder."""
    seconds: int | None = None
    """Longest duration of a video, in seconds; None for whole episodes."""
    overlay: bool = True
    """Whether to show figures below the picture."""
    rom: Path | None = None
    """Current path of the run's ROM; None to search for it by its checksum."""


def film_episodes(
    path: Path, request: EpisodeVideoRequest, report: Callable[[EpisodeVideo], None]
) -> None:
    """Write a video of each chosen episode, and call `report` with it.

    Raises QcadeError, once all are written, if the emulator's game differs from the recorded one.
    """
    run, limit = _opened(path, request)
    chosen = choose(run, request.episodes)
    numbers = {episode.episode for episode in chosen}
    if request.out is not None and len(numbers) > 1:
        raise QcadeError(
            f'"{request.episodes}" selects {len(numbers)} episodes, but --out is one file: leave '
            f"--out out to write them to {Run(path).videos}"
        )
    problems: list[QcadeError] = []
    for episode, steps in film_each(run, chosen):
        name = f"episode-{episode.episode:06}.mp4"
        file = request.out or Run(path).videos / name
        video, score = _film(run, episode, steps, file, limit, request.overlay)
        try:
            if video.is_whole:
                check_score(run, episode, score)
            report(video)
        except QcadeError as problem:
            problems.append(problem)
    if problems:
        raise QcadeError("; ".join(map(str, problems)))


def film_montage(path: Path, request: EpisodeVideoRequest) -> EpisodeVideo:
    """Write a video of the chosen episodes side by side; an ended one keeps its last picture.

    Raises QcadeError, once it is written, if the emulator's game differs from the recorded one.
    """
    run, limit = _opened(path, request)
    chosen = choose(run, request.episodes)
    if len(chosen) > MOST_PANELS:
        raise QcadeError(
            f'"{request.episodes}" selects {len(chosen)} episodes, but a montage shows at most '
            f"{MOST_PANELS}"
        )
    name = f"montage-{'-'.join(str(episode.episode) for episode in chosen)}.mp4"
    file = request.out or Run(path).videos / name
    canvas = Canvas(_PANEL_WIDTH)
    panels = [_Panel(run, episode, canvas, request.overlay) for episode in chosen]
    pictures = 0
    with VideoFile(file, run.game.pictures_per_second) as video:
        while limit is None or pictures < limit:
            advanced = [panel.advance() for panel in panels]
            if not any(advanced):
                break
            video.add(_side_by_side([panel.picture for panel in panels]))
            pictures += 1
    whole = all(panel.is_over for panel in panels)
    for panel in panels:
        if panel.is_over:
            check_score(run, panel.episode, panel.score)
    return EpisodeVideo(file, tuple(chosen), pictures / run.game.pictures_per_second, whole)


class _Panel:
    """One episode of a montage."""

    def __init__(self, run: RecordedRun, episode: Episode, canvas: Canvas, labelled: bool) -> None:
        self.episode = episode
        self.score = 0.0
        self.is_over = False
        self.picture: UInt8Array = np.zeros((2, 2, 3), np.uint8)
        self._canvas, self._labelled = canvas, labelled
        self._pictures = self._played(film_one(run, episode))

    def advance(self) -> bool:
        """Show the next picture; return False if the episode is over."""
        picture = next(self._pictures, None)
        if picture is None:
            self.is_over = True
            return False
        self.picture = picture
        return True

    def _played(self, steps: Iterator[FilmedStep]) -> Iterator[UInt8Array]:
        for step in steps:
            self.score += step.reward
            lines = [
                f"score {self.score:,.0f} of {self.episode.score:,.0f}",
                f"episode {self.episode.episode:,} at {self.episode.frames:,} frames",
            ]
            strip: UInt8Array | None = None
            for picture in step.pictures:
                large = self._canvas.show(picture)
                if self._labelled and strip is None:
                    strip = caption_strip(large.shape[1], lines)
                yield large if strip is None else np.concatenate((large, strip))


def _film(
    run: RecordedRun,
    episode: Episode,
    steps: Iterator[FilmedStep],
    path: Path,
    limit: int | None,
    overlay: bool,
) -> tuple[EpisodeVideo, float]:
    rate = run.game.pictures_per_second
    canvas = Canvas(video_format(path).least_width)
    pictures, score, whole = 0, 0.0, True
    with VideoFile(path, rate) as file:
        for step in steps:
            if limit is not None and pictures >= limit:
                whole = False
                break
            score += step.reward
            title = f"{run.game.slug.replace('_', ' ')}    score {score:,.0f}"
            for picture in step.pictures:
                pictures += 1
                large = canvas.show(picture)
                if overlay:
                    details = (
                        f"episode {episode.episode:,}    epsilon {episode.epsilon:.3f}"
                        f"    frame {pictures:,}"
                    )
                    large = np.concatenate((large, caption_strip(large.shape[1], [title, details])))
                file.add(large)
    return EpisodeVideo(path, (episode,), pictures / rate, whole), score


def _opened(path: Path, request: EpisodeVideoRequest) -> tuple[RecordedRun, int | None]:
    if request.seconds is not None and request.seconds < 1:
        raise QcadeError(f"--seconds is {request.seconds}; it must be at least 1")
    if request.out is not None:
        video_format(request.out)
    run = read_run(path, request.rom)
    if request.seconds is None:
        return run, None
    return run, pictures_within(request.seconds, run.game.pictures_per_second)


def _side_by_side(pictures: list[UInt8Array]) -> UInt8Array:
    height, width = pictures[0].shape[:2]
    row = np.full((height, len(pictures) * (width + _GAP) - _GAP, 3), _GAP_GREY, np.uint8)
    for index, picture in enumerate(pictures):
        left = index * (width + _GAP)
        row[:, left : left + width] = picture
    return row
