"""Whether a run is what it says: its files by their checksums, its scores by playing them again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from qcade.files.whole import read_json
from qcade.playback.comparing import (
    episode_findings,
    episodes_of,
    score_findings,
    under_way_findings,
    whole_lines,
)
from qcade.playback.saved_states import (
    METRICS_FILE,
    SavedState,
    file_findings,
    recipe_findings,
    saved_states,
    stored_frame_findings,
)
from qcade.recipe import Recipe
from qcade.runs.directory import RunDirectory, open_run
from qcade.runs.forking import read_lineage
from qcade.runs.frame_store import FOLDER
from qcade.runs.lock import holder
from qcade.shell import command_line
from qcade.tape.format import INDEX_FILE, TAPE_FILE, RecordedEpisode, Tape, read_tape
from qcade.tape.playing_again import PlayedAgain, as_recorded, end_row, play_again
from qcade.tape.progress import showing_progress
from qcade.types import JSON, QcadeError


@dataclass
class Verification:
    """What was verified of a run, and what was found."""

    run: Path
    """Its folder."""
    episodes: int = 0
    """Episodes that were played again."""
    decisions: int = 0
    """Decisions that were played again."""
    checkpoints: int = 0
    """Checkpoints whose files were read."""
    findings: list[str] = field(default_factory=list)
    """What is not as it was written, a line each."""
    remarks: list[str] = field(default_factory=list)
    """What cannot be verified, and why, a line each."""

    @property
    def summary(self) -> str:
        """One line for people."""
        counts = (
            f"{self.episodes:,} episodes, {self.decisions:,} decisions played again, "
            f"{self.checkpoints:,} checkpoints"
        )
        if self.findings:
            return (
                f"{self.run} is not as it was written: {len(self.findings):,} findings ({counts})"
            )
        which = "every other score" if self.remarks else "every score"
        return f"verified: {counts}" + (f"; {which} was really played" if self.decisions else "")

    def to_json(self) -> dict[str, JSON]:
        """All of it as plain JSON."""
        return {**dataclasses.asdict(self), "run": str(self.run), "verified": not self.findings}


def verify_run(path: Path, console: Console, rom: Path | None = None) -> Verification:
    """Read every file of a run and play its tape again.

    `rom` is where its ROM is now; None to look for it by its checksum. QcadeError only if there is
    no run, or `rom` is another ROM.
    """
    directory = open_run(path, rom)
    found = Verification(path)
    is_being_written = holder(path) is not None
    # In this order: a run that is being written lengthens first the logs, then the tape, then the
    # index, so that what is read later covers what was read before.
    paths, states = saved_states(directory.checkpoints, is_being_written, found.findings)
    found.checkpoints = len(paths)
    found.findings += stored_frame_findings(path / FOLDER, states, is_being_written)
    recipe = _read_recipe(directory, found.findings)
    forked_frames = _forked_frames(path, found)
    contents = {n: _content(path / n) for n in (METRICS_FILE, TAPE_FILE, INDEX_FILE)}
    metrics = episodes_of(whole_lines(contents[METRICS_FILE] or b""), found.findings)
    if recipe is not None:
        found.findings += recipe_findings([s for s in states if s.frames > forked_frames], recipe)
    if recipe is None or not recipe.game.is_replayable:
        if recipe is not None:
            found.remarks.append("this kind of game cannot be played again: only files are checked")
        found.findings += file_findings(states, {METRICS_FILE: contents[METRICS_FILE]})
        return found
    if not states and not metrics and not contents[TAPE_FILE]:
        found.remarks.append("nothing is recorded yet")
        return found
    try:
        tape = read_tape(path)
    except QcadeError as error:
        found.findings += [str(error), *file_findings(states, contents)]
        return found
    found.findings += _put_aside(states, tape, contents, path, found.remarks)
    different = _game_findings(tape, recipe)
    if different:
        found.findings += different
        return found
    own = [state for state in states if state.next_row > tape.first_row]
    settled_row = max((state.next_row - 1 for state in own), default=tape.first_row)
    with showing_progress(console, len(tape.actions)) as progress:
        played = play_again(
            recipe,
            tape,
            {state.next_row - 1 for state in own},
            settled_row,
            progress,
            forked_frames,
        )
    found.episodes, found.decisions = len(played.episodes), played.decisions
    found.findings += played.findings
    # That a file is missing is said already, once is enough.
    listed = metrics if contents[METRICS_FILE] is not None else None
    _compare(found, recipe, tape, played, own, listed, settled_row, is_being_written)
    lost = len(whole_lines(contents[INDEX_FILE] or b"")) - len(tape.seedings) - len(tape.episodes)
    if lost > 0 and not is_being_written:
        found.findings.append(f"{INDEX_FILE}: {lost} lines are of rows that tape.bin does not have")
    return found


def _compare(
    found: Verification,
    recipe: Recipe,
    tape: Tape,
    played: PlayedAgain,
    states: Sequence[SavedState],
    metrics: Sequence[RecordedEpisode] | None,
    settled_row: int,
    is_being_written: bool,
) -> None:
    """Compare what was played with every place that it is recorded in."""
    before = [e for e in metrics or () if 0 <= e.first_row < tape.first_row]
    # Rows count the openings of games as well, decisions do not.
    decisions_before = 0
    if tape.first_row and states:
        newest = states[-1]
        rows = newest.next_row - 1 - tape.first_row
        decisions_before = newest.decisions - rows * tape.environments
    expected = as_recorded(played, recipe, len(before), decisions_before)
    files = {INDEX_FILE: tape.episodes}
    if metrics is not None:
        files[METRICS_FILE] = tuple(e for e in metrics if not 0 <= e.first_row < tape.first_row)
    for file, recorded in files.items():
        beyond = [e for e in recorded if end_row(e) >= played.next_row]
        within = [e for e in recorded if end_row(e) < played.next_row]
        found.findings += episode_findings(file, within, expected, settled_row)
        # Of a run that is being written, the logs may have been read a moment before the tape.
        lines = found.remarks if is_being_written else found.findings
        lines += [
            f"{file}: episode {e.episode} ends after the last row of the tape that can be played "
            f"again (`{command_line('resume', found.run)}` cuts it off if a crash left it)"
            for e in beyond
        ]
    for state in states:
        found.findings += under_way_findings(state, played)
        found.findings += score_findings(state, before, expected, decisions_before, played)


def _put_aside(
    states: Sequence[SavedState],
    tape: Tape,
    contents: dict[str, bytes | None],
    path: Path,
    remarks: list[str],
) -> list[str]:
    """Check the files' lengths; the states of an earlier tape say nothing about this one."""
    earlier = [state for state in states if state.next_row <= tape.first_row]
    own = [state for state in states if state.next_row > tape.first_row]
    if tape.first_row:
        aside = ", ".join(sorted(p.name for p in path.glob(f"{TAPE_FILE}.aside-*")))
        remarks.append(
            f"frames and scores before row {tape.first_row:,} cannot be verified: "
            f"their tape was put aside ({aside or 'and is missing'})"
        )
    return [
        *file_findings(earlier, {METRICS_FILE: contents[METRICS_FILE]}),
        *file_findings(own, contents),
    ]


def _game_findings(tape: Tape, recipe: Recipe) -> list[str]:
    """One sentence if the tape is of another game than the recipe's game is here and now."""
    if tape.environments != recipe.environments:
        return [
            f"tape.bin was recorded with {tape.environments} environments, recipe.json says "
            f"{recipe.environments}: nothing was played again"
        ]
    recorded = tape.header.get("protocol")
    try:
        now = recipe.game.protocol()
    except QcadeError as error:
        return [f"nothing was played again: {error}"]
    if not isinstance(recorded, dict):
        return ["tape.bin does not say what was played: nothing was played again"]
    different = [
        f"{name} {recorded.get(name)} (here {now.get(name)})"
        for name in sorted(recorded.keys() | now.keys())
        if recorded.get(name) != now.get(name)
    ]
    if not different:
        return []
    return [f"tape.bin was recorded with {', '.join(different)}: nothing was played again"]


def _read_recipe(directory: RunDirectory, findings: list[str]) -> Recipe | None:
    try:
        read_json(directory.path / "provenance.json")
    except QcadeError as error:
        findings.append(str(error))
    try:
        return directory.recipe()
    except QcadeError as error:
        findings.append(f"recipe.json: {error}: nothing was played again")
        return None


def _forked_frames(path: Path, found: Verification) -> int:
    """Up to which frame the run was another's; -1 if it began by itself."""
    if not (path / "lineage.json").exists():
        return -1
    try:
        return int(str(read_lineage(path).get("at_frames")))
    except (QcadeError, ValueError):
        found.findings.append("lineage.json does not say where the run was forked")
        return -1


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
