"""What a run recorded of its games, compared with the games played again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from qcade.files.json_text import parse_json_object
from qcade.playback.saved_states import SavedState
from qcade.runs.checkpoint import STATE
from qcade.runs.writers import RecentScores
from qcade.tape.format import RecordedEpisode, episode_from_json
from qcade.tape.playing_again import PlayedAgain, end_row
from qcade.types import JSON, QcadeError

PHRASES = {
    "episode": "number",
    "length_decisions": "length in decisions",
    "frames_crc": "checksum of frames",
}


def whole_lines(content: bytes) -> list[bytes]:
    """The lines that end: the last one may be half written."""
    return content[: content.rfind(b"\n") + 1].splitlines()


def episodes_of(lines: Sequence[bytes], findings: list[str]) -> list[RecordedEpisode]:
    """The episodes in the lines of metrics.jsonl."""
    episodes = []
    names = {item.name for item in dataclasses.fields(RecordedEpisode)}
    for number, line in enumerate(lines, 1):
        where = f"metrics.jsonl, line {number:,}"
        try:
            record = parse_json_object(line, where)
            if record.get("event") == "episode":
                figures = {name: value for name, value in record.items() if name in names}
                episodes.append(episode_from_json(figures, where))
        except QcadeError as error:
            findings.append(str(error))
    return episodes


def episode_findings(
    file: str,
    recorded: Sequence[RecordedEpisode],
    expected: Sequence[RecordedEpisode],
    settled_row: int,
) -> Iterator[str]:
    """Compare the episodes in a file with those played again.

    After `settled_row` a run that was killed may have lost the last lines of the file.
    """
    places: dict[tuple[int, int], RecordedEpisode] = {}
    for episode in recorded:
        place = (episode.environment, episode.first_row)
        if place in places:
            yield f"{file}: episode {episode.episode} is recorded twice"
        places[place] = episode
    last_row = max((end_row(episode) for episode in recorded), default=0)
    for played in expected:
        found = places.pop((played.environment, played.first_row), None)
        if found is not None:
            # What was random about an action is not on the tape.
            yield from _differences(file, found, dataclasses.replace(played, epsilon=found.epsilon))
        elif end_row(played) <= max(last_row - 1, settled_row):
            yield (
                f"{file}: episode {played.episode} is missing: environment {played.environment} "
                f"opened it at row {played.first_row:,}, its score is {played.score:g}"
            )
    for episode in places.values():
        yield (
            f"{file}: episode {episode.episode} was never played: environment "
            f"{episode.environment} opened none at row {episode.first_row:,}"
        )


def under_way_findings(state: SavedState, played: PlayedAgain) -> Iterator[str]:
    """Compare the unfinished games of a checkpoint with those played again."""
    again = played.under_way.get(state.next_row - 1)
    if again is None or again == state.under_way:
        return
    where = f"checkpoint {state.name}, {STATE}"
    saved: Any = state.under_way
    try:
        lists = [saved["first_rows"], saved["scores"], saved["crcs"]]
        recorded = list(zip(*lists, strict=True))
        if saved["row"] != again["row"] or len(recorded) != played.environments:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        yield f"{where}: the unfinished games are not of row {state.next_row - 1:,}"
        return
    other: Any = again
    replayed = zip(other["first_rows"], other["scores"], other["crcs"], strict=True)
    names = ("first row", "score so far", "checksum of frames")
    for environment, (one, two) in enumerate(zip(recorded, replayed, strict=True)):
        for name, old, new in zip(names, one, two, strict=True):
            if old != new:
                yield (
                    f"{where}: the {name} of the unfinished game of environment {environment} is "
                    f"{old}, played again it is {new}"
                )


def score_findings(
    state: SavedState,
    before: Sequence[RecordedEpisode],
    expected: Sequence[RecordedEpisode],
    decisions_before: int,
    played: PlayedAgain,
) -> Iterator[str]:
    """Compare the counts and scores of a checkpoint with those of the games played again.

    `before` are the episodes that an earlier tape held.
    """
    if state.next_row > played.next_row:
        return
    scores = RecentScores()
    ended = [*before, *(e for e in expected if end_row(e) < state.next_row)]
    for episode in ended:
        scores.add(episode.score)
    rows = state.next_row - 1 - played.first_row
    facts: list[tuple[str, JSON, JSON]] = [
        ("opening_row", state.opening_row, played.first_row),
        ("decisions", state.decisions, decisions_before + rows * played.environments),
        ("episodes", state.episodes, len(ended)),
        ("mean_score", state.mean_score, scores.mean if scores.is_full else None),
        ("scores", state.scores, scores.to_json()),
    ]
    for name, recorded, again in facts:
        if recorded != again:
            yield (
                f"checkpoint {state.name}, {STATE}: {name} is {recorded}, played again it is "
                f"{again}"
            )


def _differences(file: str, recorded: RecordedEpisode, played: RecordedEpisode) -> Iterator[str]:
    for item in dataclasses.fields(RecordedEpisode):
        one, other = getattr(recorded, item.name), getattr(played, item.name)
        if one != other:
            phrase = PHRASES.get(item.name, item.name)
            yield (
                f"{file}: episode {played.episode}: the recorded {phrase} is {_short(one)}, "
                f"played again it is {_short(other)}"
            )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and f"{value:g}" != "0" else str(value)
