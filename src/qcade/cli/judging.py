"""The commands that judge a run: `evaluate` and `verify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qcade.cli.reading_options import OptionalFloat, OptionalInt, OptionalPath, read_options
from qcade.cli.terminal import RunPath, errors, print_json, screen
from qcade.cli.whole_numbers import with_plain_number
from qcade.runs.evaluating import EvaluationRequest, evaluate_run
from qcade.shell import shown
from qcade.types import JSON, QcadeError
from qcade.verify.verifying import verify_run

FINDINGS_SHOWN = 20


@dataclass(frozen=True)
class EvaluateOptions:
    """Play whole games with a trained agent under a stated protocol."""

    run: RunPath
    """The run directory."""
    episodes: int = 30
    """Whole games to play."""
    player: Literal["agent", "random"] = "agent"
    """Who plays: the trained agent or, for comparison, a random player."""
    epsilon: float = 0.001
    """Probability of a random action of the agent."""
    seed: int = 0
    """Seed of everything random in the games."""
    checkpoint: str = "newest"
    """newest, best or a frame number."""
    sticky_actions: OptionalFloat = None
    """Probability that the emulator repeats the last action; by default as in training."""
    noop_max: OptionalInt = None
    """Most no-op actions at the start of a game; by default as in training."""
    max_episode_frames: OptionalInt = None
    """Emulator frames after which a game is cut; by default as in training."""
    mode: OptionalInt = None
    """Mode of the game (see `qcade games GAME`); by default as in training."""
    difficulty: OptionalInt = None
    """Difficulty of the game (see `qcade games GAME`); by default as in training."""
    rom: OptionalPath = None
    """Current path of the run's custom ROM file, if it is not found by its checksum."""
    json: bool = False
    """Print one JSON object instead of a table."""


def evaluate(words: list[str]) -> int:
    """Play whole games under a stated protocol and print the scores; return the exit code."""
    options = read_options(EvaluateOptions, "evaluate", words)
    changes: dict[str, JSON] = {
        name: value
        for name in ("sticky_actions", "noop_max", "max_episode_frames", "mode", "difficulty")
        if (value := getattr(options, name)) is not None
    }
    request = EvaluationRequest(
        episodes=options.episodes,
        epsilon=options.epsilon,
        seed=options.seed,
        checkpoint=with_plain_number(options.checkpoint),
        changes=changes,
        player=options.player,
        rom=options.rom,
    )
    result, file = evaluate_run(options.run, request, quiet=options.json, console=errors)
    if options.json:
        print_json(result)
    else:
        _print_evaluation(result, file)
    return 0


@dataclass(frozen=True)
class VerifyOptions:
    """Play a run's tape again and compare every score and every file with what was recorded."""

    run: RunPath
    """The run directory."""
    rom: OptionalPath = None
    """Current path of the run's custom ROM file, if it is not found by its checksum."""
    json: bool = False
    """Print one JSON object."""


def verify(words: list[str]) -> int:
    """Play a whole run again and prove its scores; return the exit code."""
    options = read_options(VerifyOptions, "verify", words)
    verification = verify_run(options.run, errors, options.rom)
    if options.json:
        print_json(verification.to_json())
    else:
        shown_findings = verification.findings[:FINDINGS_SHOWN]
        hidden = len(verification.findings) - len(shown_findings)
        more = [f"and {hidden:,} more: --json lists all of them"] if hidden else []
        for line in [*shown_findings, *more, *verification.remarks]:
            screen.print(shown(line))
    if verification.findings:
        raise QcadeError(verification.summary)
    if not options.json:
        screen.print(verification.summary)
    return 0


def _games_phrase(result: dict[str, JSON]) -> str:
    """Return how many games were played, and how they ended."""
    whole = f"{result['whole']} whole games"
    if not result["cut"]:
        return whole
    stuck = f", {result['stuck']} of them stuck (five minutes without a point)"
    cut = f"{result['cut']} that were cut by the frame cap"
    return f"{whole} and {cut}{stuck if result['stuck'] else ''}"


def _print_evaluation(result: dict[str, JSON], file: Path) -> None:
    normalized = result["human_normalized"]
    screen.print(
        f"{result['game']}: mean {result['mean']:,.1f}, median {result['median']:,.1f}, "
        f"standard deviation {result['std']:,.1f}, from {result['min']:,.0f} "
        f"to {result['max']:,.0f}, over {_games_phrase(result)}"
    )
    if isinstance(normalized, float):
        screen.print(f"human-normalised: {normalized:.1%} (0% random player, 100% human tester)")
    published = result["published"]
    if isinstance(published, dict) and published:
        figures = ", ".join(f"{name} {score:,.1f}" for name, score in published.items())
        screen.print(f"published at 200M frames, no-op starts, no sticky actions: {figures}")
    protocol = result["protocol"]
    assert isinstance(protocol, dict)
    screen.print(shown("protocol: " + ", ".join(f"{k} {v}" for k, v in protocol.items())))
    screen.print(f"written to {shown(file)}")
