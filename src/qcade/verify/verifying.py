"""Verifying a run: its files by their checksums, its scores by re-emulating its games."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from qcade.events import Episode
from qcade.files.whole import read_json
from qcade.recipe import Recipe
from qcade.runs.layout import FRAMES_FOLDER, METRICS_FILE
from qcade.runs.lock import holder
from qcade.runs.reading.run import Run, open_run
from qcade.shell import command_line
from qcade.tape.format import INDEX_FILE, TAPE_FILE, Tape, read_tape
from qcade.tape.progress import showing_progress
from qcade.types import JSON, QcadeError
from qcade.verify.comparing import (
    episode_findings,
    score_findings,
    unfinished_findings,
)
from qcade.verify.reemulating import ReemulatedTape, as_recorded, reemulate_tape
from qcade.verify.saved_states import (
    SavedState,
    file_findings,
    recipe_findings,
    saved_states,
    stored_frame_findings,
)


@dataclass
class Verification:
    """What was verified of a run, and the findings."""

    run: Path
    """Its folder."""
    episodes: int = 0
    """Episodes that were re-emulated."""
    decisions: int = 0
    """Decisions that were re-emulated."""
    checkpoints: int = 0
    """Checkpoints whose files were read."""
    findings: list[str] = field(default_factory=list)
    """Sentences about what differs from what was written."""
    remarks: list[str] = field(default_factory=list)
    """Sentences about what cannot be verified, and why."""

    @property
    def summary(self) -> str:
        """The result as a human-readable line."""
        counts = (
            f"{self.episodes:,} episodes, {self.decisions:,} decisions played again, "
            f"{self.checkpoints:,} checkpoints"
        )
        if self.findings:
            return (
                f"{self.run} differs from what was recorded: {len(self.findings):,} findings "
                f"({counts})"
            )
        which = "every other score" if self.remarks else "every score"
        return f"verified: {counts}" + (f"; {which} was really played" if self.decisions else "")

    def to_json(self) -> dict[str, JSON]:
        """Return it as plain JSON."""
        return {**dataclasses.asdict(self), "run": str(self.run), "verified": not self.findings}


def verify_run(path: Path, console: Console, rom: Path | None = None) -> Verification:
    """Check every file of a run, and re-emulate its tape to check its scores.

    `rom` is the current path of its ROM; None to search for it by its checksum. QcadeError only if
    there is no run, or `rom` is a different ROM.
    """
    directory = open_run(path, rom)
    verification = Verification(path)
    is_being_written = holder(path) is not None
    # In this order: a run in progress appends first to the logs, then to the tape, then to the
    # index, so that files read later cover the files read before.
    paths, states = saved_states(directory.checkpoints, is_being_written, verification.findings)
    verification.checkpoints = len(paths)
    verification.findings += stored_frame_findings(path / FRAMES_FOLDER, states, is_being_written)
    recipe = _read_recipe(directory, verification.findings)
    forked_frames = _forked_frames(directory, verification)
    metrics = _episodes(directory, verification.findings)
    contents = {n: _content(path / n) for n in (METRICS_FILE, TAPE_FILE, INDEX_FILE)}
    if recipe is not None:
        verification.findings += recipe_findings(
            [s for s in states if s.state.frames > forked_frames], recipe
        )
    if recipe is None or not recipe.game.is_replayable:
        if recipe is not None:
            verification.remarks.append(
                "this kind of game cannot be played again: only files are checked"
            )
        verification.findings += file_findings(states, {METRICS_FILE: contents[METRICS_FILE]})
        return verification
    if not states and not metrics and not contents[TAPE_FILE]:
        verification.remarks.append("nothing is recorded yet")
        return verification
    try:
        tape = read_tape(path)
    except QcadeError as error:
        verification.findings += [str(error), *file_findings(states, contents)]
        return verification
    verification.findings += _check_logs(states, tape, contents, path, verification.remarks)
    different = _game_findings(tape, recipe)
    if different:
        verification.findings += different
        return verification
    own = [state for state in states if state.next_row > tape.first_row]
    settled_row = max((state.next_row - 1 for state in own), default=tape.first_row)
    with showing_progress(console, len(tape.actions)) as progress:
        played = reemulate_tape(
            recipe,
            tape,
            {state.next_row - 1 for state in own},
            settled_row,
            progress,
            forked_frames,
        )
    verification.episodes, verification.decisions = len(played.episodes), played.decisions
    verification.findings += played.findings
    # A missing file is a finding already, which is not repeated.
    listed = metrics if contents[METRICS_FILE] is not None else None
    _compare(verification, recipe, tape, played, own, listed, settled_row, is_being_written)
    lost = len(_whole_lines(contents[INDEX_FILE])) - len(tape.seedings) - len(tape.episodes)
    if lost > 0 and not is_being_written:
        verification.findings.append(
            f"{INDEX_FILE}: {lost} lines are of rows that tape.bin does not have"
        )
    return verification


def _compare(
    verification: Verification,
    recipe: Recipe,
    tape: Tape,
    played: ReemulatedTape,
    states: Sequence[SavedState],
    metrics: Sequence[Episode] | None,
    settled_row: int,
    is_being_written: bool,
) -> None:
    """Compare the re-emulated games with every file that records them."""
    before = [e for e in metrics or () if 0 <= e.first_row < tape.first_row]
    # Openings of games are rows, but not decisions.
    decisions_before = 0
    if tape.first_row and states:
        newest = states[-1]
        rows = newest.next_row - 1 - tape.first_row
        decisions_before = newest.state.counters.decisions - rows * tape.environments
    expected = as_recorded(played, recipe, len(before), decisions_before)
    files = {INDEX_FILE: tape.episodes}
    if metrics is not None:
        files[METRICS_FILE] = tuple(e for e in metrics if not 0 <= e.first_row < tape.first_row)
    for file, recorded in files.items():
        beyond = [e for e in recorded if e.end_row >= played.next_row]
        within = [e for e in recorded if e.end_row < played.next_row]
        verification.findings += episode_findings(file, within, expected, settled_row)
        # In a run in progress, the logs and the tape were read at slightly different times.
        messages = verification.remarks if is_being_written else verification.findings
        messages += [
            f"{file}: episode {e.episode} ends after the last row of the tape that can be played "
            f"again (if a crash left it, `{command_line('resume', verification.run)}` cuts it off)"
            for e in beyond
        ]
    for state in states:
        verification.findings += unfinished_findings(state, played)
        verification.findings += score_findings(state, before, expected, decisions_before, played)


def _check_logs(
    states: Sequence[SavedState],
    tape: Tape,
    contents: dict[str, bytes | None],
    path: Path,
    remarks: list[str],
) -> list[str]:
    """Check the lengths of the files; checkpoints of an earlier tape do not concern this one."""
    earlier = [state for state in states if state.next_row <= tape.first_row]
    own = [state for state in states if state.next_row > tape.first_row]
    if tape.first_row:
        earlier_tape = ", ".join(sorted(p.name for p in path.glob(f"{TAPE_FILE}.aside-*")))
        remarks.append(
            f"frames and scores before row {tape.first_row:,} cannot be verified: "
            f"their tape was set aside ({earlier_tape or 'and is missing'})"
        )
    return [
        *file_findings(earlier, {METRICS_FILE: contents[METRICS_FILE]}),
        *file_findings(own, contents),
    ]


def _game_findings(tape: Tape, recipe: Recipe) -> list[str]:
    """Return a finding if the tape was recorded with another game than the recipe's is here."""
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
        return ["tape.bin does not record its game: nothing was played again"]
    different = [
        f"{name} {recorded.get(name)} (here {now.get(name)})"
        for name in sorted(recorded.keys() | now.keys())
        if recorded.get(name) != now.get(name)
    ]
    if not different:
        return []
    return [f"tape.bin was recorded with {', '.join(different)}: nothing was played again"]


def _read_recipe(directory: Run, findings: list[str]) -> Recipe | None:
    try:
        read_json(directory.path / "provenance.json")
    except QcadeError as error:
        findings.append(str(error))
    try:
        return directory.recipe()
    except QcadeError as error:
        findings.append(f"recipe.json: {error}: nothing was played again")
        return None


def _forked_frames(run: Run, verification: Verification) -> int:
    """Return the frame at which the run was forked; -1 if it is not a fork."""
    try:
        lineage = run.lineage()
    except QcadeError as error:
        verification.findings.append(str(error))
        return -1
    return -1 if lineage is None else lineage.at_frames


def _episodes(run: Run, findings: list[str]) -> list[Episode]:
    """Return the episodes that the run logged; lines that cannot be read become findings."""
    reader = run.metrics()
    logged = reader.read_new()
    findings += reader.problems
    return [each.event for each in logged if isinstance(each.event, Episode)]


def _whole_lines(content: bytes | None) -> list[bytes]:
    """Return the complete lines: the last one may be partly written."""
    content = content or b""
    return content[: content.rfind(b"\n") + 1].splitlines()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
