"""The commands for watching what an agent plays, and what it played while it learnt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qcade.checks import check_value
from qcade.playback.episode_videos import (
    EpisodeVideo,
    EpisodeVideoRequest,
    film_episodes,
    film_montage,
)
from qcade.playback.episodes import listed, read_run, table_of, to_json
from qcade.reading_options import read_options
from qcade.runs.filming import VideoRequest, film_run
from qcade.shell import shown
from qcade.terminal import RunPath, print_json, print_table, screen
from qcade.types import Positive, QcadeError
from qcade.whole_numbers import with_plain_number

EVALUATION_SECONDS = 300


@dataclass(frozen=True)
class VideoOptions:
    """Write a video in full-size colour: of an evaluation game, or of episodes of the training."""

    run: RunPath
    """The run directory."""
    episode: str | None = None
    """An episode of the training: a number, first, last, best, worst, 50% (of the run), every:50,
    all, or several with commas."""
    montage: str | None = None
    """Episodes of the training side by side, such as first,25%,50%,75%,best."""
    out: Path | None = None
    """Video file, .mp4, .webm or .gif; by default an mp4 in videos/ in the run directory."""
    checkpoint: str = "newest"
    """Evaluation game: newest, best or a frame number."""
    epsilon: float = 0.001
    """Evaluation game: probability of a random action."""
    seed: int = 0
    """Evaluation game: which one; everything random in it follows from the seed."""
    seconds: int | None = None
    """The video ends here if the game goes on; by default 300 for an evaluation game."""
    overlay: bool = True
    """Show score and other figures below the picture."""
    rom: Path | None = None
    """Where the run's own ROM file is now, if it is not found by its checksum."""


def video(words: list[str]) -> int:
    """Write a video of a trained agent's game, or of training episodes; return the exit code."""
    options = read_options(VideoOptions, "video", words)
    check_value(options.seconds, Positive | None, "--seconds")
    if options.episode is None and options.montage is None:
        _film_evaluation_game(options)
    else:
        _film_training(options)
    return 0


@dataclass(frozen=True)
class EpisodesOptions:
    """List the episodes that a run, still training or not, has finished."""

    run: RunPath
    """The run directory."""
    sort: Literal["number", "score", "length"] = "number"
    """Order: the best and the longest come first."""
    last: int | None = None
    """How many to list, the newest; by default all."""
    rom: Path | None = None
    """Where the run's own ROM file is now, if it is not found by its checksum."""
    json: bool = False
    """Print a JSON list instead of a table."""


def show_episodes(words: list[str]) -> int:
    """List the episodes of a run, to choose from for a video; return the exit code."""
    options = read_options(EpisodesOptions, "episodes", words)
    check_value(options.last, Positive | None, "--last")
    run = read_run(options.run, options.rom)
    episodes = listed(run.tape.episodes, options.sort, options.last)
    if options.json:
        print_json([to_json(episode) for episode in episodes], indent=2)
    elif episodes:
        print_table(table_of(run, episodes))
    else:
        screen.print(f"{shown(options.run)} has finished no episode yet.")
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
        raise QcadeError("--episode writes one file an episode and --montage one of all: drop one")
    for name in ("checkpoint", "epsilon", "seed"):
        if getattr(options, name) != getattr(VideoOptions, name):
            raise QcadeError(
                f"--{name} is an option of evaluation games; a training episode is shown as it was "
                "played: leave it out"
            )

    def report(written: EpisodeVideo) -> None:
        what = ", ".join(f"episode {e.episode:,} (score {e.score:,.0f})" for e in written.episodes)
        screen.print(
            f"{shown(written.path)}: {written.seconds:.1f} s, {what}"
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
