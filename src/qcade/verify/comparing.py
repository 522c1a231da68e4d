"""Comparing what a run recorded of its games with the re-emulated games."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from qcade.events import Episode
from qcade.runs.layout import STATE_FILE
from qcade.runs.reading.scores import RecentScores
from qcade.types import JSON
from qcade.verify.reemulating import ReemulatedTape
from qcade.verify.saved_states import SavedState

PHRASES = {
    "episode": "number",
    "length_decisions": "length in decisions",
    "frames_crc": "checksum of frames",
}


def episode_findings(
    file: str,
    recorded: Sequence[Episode],
    expected: Sequence[Episode],
    settled_row: int,
) -> Iterator[str]:
    """Compare the episodes in a file with the re-emulated ones; yield a sentence per difference.

    A run that was killed may have lost the last lines of the file, of rows after `settled_row`.
    """
    unmatched: dict[tuple[int, int], Episode] = {}
    for episode in recorded:
        opening = (episode.environment, episode.first_row)
        if opening in unmatched:
            yield f"{file}: episode {episode.episode} is recorded twice"
        unmatched[opening] = episode
    last_row = max((episode.end_row for episode in recorded), default=0)
    for played in expected:
        match = unmatched.pop((played.environment, played.first_row), None)
        if match is not None:
            # The tape does not have epsilon.
            yield from _differences(file, match, dataclasses.replace(played, epsilon=match.epsilon))
        elif played.end_row <= max(last_row - 1, settled_row):
            yield (
                f"{file}: episode {played.episode} is missing: environment {played.environment} "
                f"opened it at row {played.first_row:,}, its score is {played.score:g}"
            )
    for episode in unmatched.values():
        yield (
            f"{file}: episode {episode.episode} was never played: environment "
            f"{episode.environment} opened none at row {episode.first_row:,}"
        )


def unfinished_findings(state: SavedState, played: ReemulatedTape) -> Iterator[str]:
    """Compare the unfinished games of a checkpoint with the re-emulated ones."""
    reemulated: Any = played.unfinished.get(state.next_row - 1)
    if reemulated is None or reemulated == state.state.counters.unfinished:
        return
    where = f"checkpoint {state.name}, {STATE_FILE}"
    saved: Any = state.state.counters.unfinished
    try:
        lists = [saved["first_rows"], saved["scores"], saved["crcs"]]
        recorded = list(zip(*lists, strict=True))
        if saved["row"] != reemulated["row"] or len(recorded) != played.environments:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        yield f"{where}: the unfinished games are not of row {state.next_row - 1:,}"
        return
    lists = [reemulated["first_rows"], reemulated["scores"], reemulated["crcs"]]
    names = ("first row", "score so far", "checksum of frames")
    games = zip(recorded, zip(*lists, strict=True), strict=True)
    for environment, (recorded_game, game_here) in enumerate(games):
        for name, old, new in zip(names, recorded_game, game_here, strict=True):
            if old != new:
                yield (
                    f"{where}: the {name} of the unfinished game of environment {environment} is "
                    f"{old}, played again it is {new}"
                )


def score_findings(
    state: SavedState,
    before: Sequence[Episode],
    expected: Sequence[Episode],
    decisions_before: int,
    played: ReemulatedTape,
) -> Iterator[str]:
    """Compare the counts and scores of a checkpoint with those of the re-emulated games.

    `before` are the episodes of an earlier tape.
    """
    if state.next_row > played.next_row:
        return
    counters = state.state.counters
    scores = RecentScores()
    ended = [*before, *(e for e in expected if e.end_row < state.next_row)]
    for episode in ended:
        scores.add(episode.score)
    rows = state.next_row - 1 - played.first_row
    facts: list[tuple[str, JSON, JSON]] = [
        ("opening_row", counters.opening_row, played.first_row),
        ("decisions", counters.decisions, decisions_before + rows * played.environments),
        ("episodes", counters.episodes, len(ended)),
        ("mean_score", state.state.mean_score, scores.mean if scores.is_full else None),
        ("scores", state.state.scores, scores.to_json()),
    ]
    for name, recorded, reemulated in facts:
        if recorded != reemulated:
            yield (
                f"checkpoint {state.name}, {STATE_FILE}: {name} is {recorded}, played again it is "
                f"{reemulated}"
            )


def _differences(file: str, recorded: Episode, played: Episode) -> Iterator[str]:
    for item in dataclasses.fields(Episode):
        old, new = getattr(recorded, item.name), getattr(played, item.name)
        if old != new:
            phrase = PHRASES.get(item.name, item.name)
            yield (
                f"{file}: episode {played.episode}: the recorded {phrase} is {_short(old)}, "
                f"played again it is {_short(new)}"
            )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and f"{value:g}" != "0" else str(value)
