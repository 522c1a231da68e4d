"""Reading metrics.jsonl while it grows: each read continues where the last one ended."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from qcade.checks import number_or_none
from qcade.events import Episode, Evaluated, Updated
from qcade.files.json_text import parse_json_object
from qcade.files.versions import check_version
from qcade.tape.format import episode_from_json
from qcade.types import JSON, LARGEST_WHOLE_NUMBER, QcadeError

METRICS_FORMAT = 2
"""Format 1, up to commit 8f59885, had no first line with the format, and its seconds restarted at 0
in every process."""
EVENT_NAMES: dict[type[Episode | Updated | Evaluated], str] = {
    Episode: "episode",
    Updated: "updates",
    Evaluated: "evaluation",
}
FORMAT_EVENT = "format"
"""The first line."""
_EPISODE_FIGURES = frozenset(item.name for item in dataclasses.fields(Episode))


@dataclass(frozen=True)
class Logged:
    """One line of metrics.jsonl."""

    event: Episode | Updated | Evaluated
    """What happened."""
    seconds: float
    """Training time of the run by then, summed over all its processes."""
    line: int
    """Number of the line, from 1."""


class MetricsReader:
    """Reads a log that another process may be writing."""

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        """One sentence for every line that cannot be read."""
        self._path, self._offset, self._line = path, 0, 0
        self._earlier_seconds = self._seconds = 0.0
        self._format = 1

    def read_new(self) -> list[Logged]:
        """Read the complete lines that were added since the last call, or all in the first call.

        A log that was cut, as by a resume after a kill, is read from its start again; `line` then
        starts at 1 again. QcadeError if a newer qcade wrote it.
        """
        try:
            with open(self._path, "rb") as file:
                if file.seek(0, 2) < self._offset:
                    self.__init__(self._path)  # type: ignore[misc]
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise QcadeError(f"{self._path} cannot be read: {error.strerror or error}") from None
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = []
        for line in whole.splitlines():
            self._line += 1
            where = f"{self._path.name}, line {self._line:,}"
            try:
                record = parse_json_object(line, where)
                logged = self._read(record, where)
            except QcadeError as error:
                self.problems.append(str(error))
                continue
            if record.get("event") == FORMAT_EVENT:
                self._format = check_version(record.get("format"), METRICS_FORMAT, str(self._path))
            if logged is not None:
                new.append(logged)
        return new

    @property
    def seconds(self) -> float:
        """Training time of the run by the last line that was read."""
        return self._earlier_seconds + self._seconds

    def _read(self, record: dict[str, JSON], where: str) -> Logged | None:
        event = _event(record.get("event"), record, where)
        seconds = number_or_none(record.get("seconds"))
        if seconds is not None:
            if self._format == 1 and seconds < self._seconds:
                # Another process continued the run.
                self._earlier_seconds += self._seconds
            self._seconds = seconds
        return None if event is None else Logged(event, self.seconds, self._line)


def _event(kind: JSON, record: dict[str, JSON], where: str) -> Episode | Updated | Evaluated | None:
    """Return the event of a line; None if its kind is unknown."""
    if kind == EVENT_NAMES[Episode]:
        figures = {name: value for name, value in record.items() if name in _EPISODE_FIGURES}
        return episode_from_json(figures, where)
    if kind == EVENT_NAMES[Updated]:
        metrics = record.get("metrics")
        if not isinstance(metrics, dict):
            raise QcadeError(f"{where} has no metrics")
        values = {name: _number(value, where) for name, value in metrics.items()}
        return Updated(_count(record, "frames", where), _count(record, "updates", where), values)
    if kind == EVENT_NAMES[Evaluated]:
        return Evaluated(
            frames=_count(record, "frames", where),
            episodes=_count(record, "episodes", where),
            cut=_count(record, "cut", where),
            mean=_number(record.get("mean"), where),
            median=_number(record.get("median"), where),
        )
    return None


def _count(record: dict[str, JSON], name: str, where: str) -> int:
    value = record.get(name)
    if type(value) is not int or not 0 <= value <= LARGEST_WHOLE_NUMBER:
        raise QcadeError(f"{where}: {name} is not a whole number of at most 2**53")
    return value


def _number(value: JSON, where: str) -> float:
    number = number_or_none(value)
    if number is None:
        raise QcadeError(f"{where} holds {value!r} where a number belongs")
    return number
