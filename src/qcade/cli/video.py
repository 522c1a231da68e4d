"""The command `video`: films an evaluation game, or training episodes."""

from __future__ import annotations

from dataclasses import dataclass

from qcade.checks import check_value
from qcade.cli.reading_options import OptionalInt, OptionalPath, OptionalText, read_options
from qcade.cli.terminal import RunPath, screen
from qcade.cli.whole_numbers import with_plain_number
from qcade.shell import shown
from qcade.types import Positive, QcadeError
from qcade.watch.episode_videos import (
    EpisodeVideo,
    EpisodeVideoRequest,
    film_episodes,
    film_montage,
)
from qcade.watch.filming import VideoRequest, film_run

EVALUATION_SECONDS = 300


@dataclass(frozen=True)
class VideoOptions:
    """Write a video in full-size colour: of an evaluation game, or of training episodes."""

    run: RunPath
    """The run directory."""
    episode: OptionalText = None
    """A training episode: a number, first, last, best, worst, 50% (of the run), every:50,
    all, or several with commas."""
    montage: OptionalText = None
    """Training episodes side by side, such as first,25%,50%,75%,best."""
    out: OptionalPath = None
    """Video file, .mp4, .webm or .gif; by default an mp4 in videos/ in the run directory."""
    checkpoint: str = "newest"
    """Evaluation game: newest, best or a frame number."""
    epsilon: float = 0.001
    """Evaluation game: probability of a random action."""
    seed: int = 0
    """Evaluation game: seed of everything random in it."""
    seconds: OptionalInt = None
    """Longest duration of the video; by default 300 for an evaluation game."""
    overlay: bool = True
    """Show score and other figures below the picture."""
    rom: OptionalPath = None
    """Current path of the run's custom ROM file, if it is not found by its checksum."""


def video(words: list[str]) -> int:
    """Write a video of a trained agent's game, or of training episodes; return the exit code."""
    options = read_options(VideoOptions, "video", words)
    check_value(options.seconds, Positive | None, "--seconds")
    if options.episode is None and options.montage is None:
        _film_evaluation_game(options)
    else:
        _film_training(options)
    return 0


def _film_evaluation_game(options: VideoOptions) -> None:
    request = VideoRequest(
        out=options.out,
        checkpoint=with_plain_number(options.checkpoint),
        epsilon=options.epsilon,
        seed=options.seed,
        seconds=EVALUATION_SECONDS if options.seconds is None else options.seconds,
        overlay=options.overlay,
        rom=options.rom,
    )
    film = film_run(options.run, request)
    screen.print(
        f"{shown(film.path)}: {film.seconds:.0f} s of {film.game}, score {film.score:,.0f}"
        + ("" if film.is_whole else f" so far (cut after {request.seconds} s)")
    )


def _film_training(options: VideoOptions) -> None:
    if options.episode is not None and options.montage is not None:
        raise QcadeError(
            "--episode writes one file per episode and --montage one file of all: use only one"
        )
    for name in ("checkpoint", "epsilon", "seed"):
        if getattr(options, name) != getattr(VideoOptions, name):
            raise QcadeError(
                f"--{name} is for evaluation games, and training episodes are shown as they were "
                "played: leave it out"
            )

    def report(written: EpisodeVideo) -> None:
        episodes = ", ".join(
            f"episode {e.episode:,} (score {e.score:,.0f})" for e in written.episodes
        )
        screen.print(
            f"{shown(written.path)}: {written.seconds:.1f} s, {episodes}"
            + (", as recorded" if written.is_whole else f", cut after {options.seconds} s")
        )

    chosen = options.episode or options.montage or ""
    request = EpisodeVideoRequest(
        chosen, options.out, options.seconds, options.overlay, options.rom
    )
    if options.montage is not None:
        report(film_montage(options.run, request))
    else:
        film_episodes(options.run, request, report)
