"""The limits that Linux control groups (of containers, jobs and services) set for this process.

A group's limits also apply to every group inside it, so the tightest limit of all levels counts.
Version 2 has one tree of groups, version 1 one per controller, and a machine may have both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

Number = TypeVar("Number", int, float)

LEAST_UNLIMITED_BYTES = 2**60
"""Version 1 writes "no limit" as a huge number; any limit from here on means that."""

VERSION_2 = ""
"""The controller name of version 2 in /proc/self/cgroup, where the field is empty."""

# Used if the table of mounts cannot be read.
USUAL_MOUNTS = (
    ("/sys/fs/cgroup", frozenset({VERSION_2})),
    ("/sys/fs/cgroup/memory", frozenset({"memory"})),
    ("/sys/fs/cgroup/cpu", frozenset({"cpu"})),
    ("/sys/fs/cgroup/cpuset", frozenset({"cpuset"})),
)

# For versions 2 and 1: the files with limits, the file with the current use, and the line of
# memory.stat with the file cache, which the kernel frees before memory runs out. Above memory.high
# the kernel kills nothing, but slows the process down until it hardly runs.
MEMORY_FILES = (
    (("memory.max", "memory.high"), "memory.current", "inactive_file"),
    (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
)
CPUSET_FILES = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")


@dataclass(frozen=True)
class Limits:
    """What this process may still use within its control groups; None means no limit."""

    memory_bytes: int | None = None
    """Memory that may still be allocated."""
    quota_cores: float | None = None
    """CPU seconds per second: 0.5 is half a core."""
    cpuset_cores: int | None = None
    """Cores that the process may run on."""

    @property
    def cores(self) -> int | None:
        """Cores that can be kept busy: at least 1; a quota is rounded up."""
        quota = None if self.quota_cores is None else math.ceil(self.quota_cores)
        known = [count for count in (quota, self.cpuset_cores) if count is not None]
        return max(1, min(known)) if known else None


class _Mount(NamedTuple):
    point: str
    """Where the tree of groups is mounted."""
    root: str
    """Which group of the tree is mounted there."""
    controllers: frozenset[str]


def read_limits(root: Path = Path("/")) -> Limits:
    """Read the limits of this process from the file system at `root`; an unreadable one is None.

    Follows its groups from the mount points down. If a group is not visible, as inside a container,
    the nearest visible one above it counts.
    """
    groups, mounts = _groups(root), _mounts(root)

    def levels(controller: str) -> list[Path]:
        trees = (controller, VERSION_2)
        return [path for t in trees for path in _levels(root, mounts, t, groups.get(t, "/"))]

    return Limits(
        _least(_available_bytes(folder) for folder in levels("memory")),
        _least(_quota_cores(folder) for folder in levels("cpu")),
        _least(_cpuset_cores(folder) for folder in levels("cpuset")),
    )


def _least(found: Iterable[Number | None]) -> Number | None:
    return min((number for number in found if number is not None), default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """Read a number that is not negative; None if the file holds none, as in "max"."""
    return _whole(_text(path).strip())


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text) else None


def _groups(root: Path) -> dict[str, str]:
    """This process's group for each controller, and for version 2."""
    groups = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and (controllers or number == "0"):
            groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _mounts(root: Path) -> list[_Mount]:
    """The mounts of group trees."""
    mounts = []
    for line in _text(root / "proc/self/mountinfo").splitlines():
        # Optional fields end with a hyphen; then come type, source and options of the file system.
        place, _, kind = line.partition(" - ")
        fields, system = place.split(" "), kind.split(" ")
        if len(fields) < 5 or len(system) < 3 or system[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = system[2].split(",") if system[0] == "cgroup" else [VERSION_2]
        mounts.append(_Mount(_unescaped(fields[4]), _unescaped(fields[3]), frozenset(controllers)))
    return mounts or [_Mount(point, "/", controllers) for point, controllers in USUAL_MOUNTS]


def _unescaped(path: str) -> str:
    """Decode spaces and other characters that are escaped as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _levels(root: Path, mounts: list[_Mount], controller: str, group: str) -> Iterator[Path]:
    """The folders of a group and of its parent groups, as far as they are visible."""
    there = [mount for mount in mounts if controller in mount.controllers]
    seen = [(mount, below) for mount in there if (below := _below(mount.root, group)) is not None]
    # Otherwise another part of the tree is mounted: most likely the group itself or a parent, whose
    # name is not known inside a container.
    for mount, below in seen or [(mount, ()) for mount in there[:1]]:
        folder = root / mount.point.lstrip("/")
        yield folder
        for name in below:
            folder /= name
            yield folder


def _below(mounted: str, group: str) -> tuple[str, ...] | None:
    """The path from a mounted group down to a group; None if the group is not inside it."""
    above, names = ([name for name in path.split("/") if name] for path in (mounted, group))
    below = names[len(above) :]
    return None if names[: len(above)] != above or ".." in below else tuple(below)


def _available_bytes(folder: Path) -> int | None:
    """Memory that a group may still allocate: its limit minus what it uses and cannot free."""
    available = []
    for limits, used, cache in MEMORY_FILES:
        limit = _least(_number(folder / name) for name in limits)
        if limit is None or limit >= LEAST_UNLIMITED_BYTES:
            continue
        used_bytes = _number(folder / used) or 0
        lines = [line.split() for line in _text(folder / "memory.stat").splitlines()]
        freeable = sum(_whole(line[1]) or 0 for line in lines if line[:1] == [cache] and line[1:])
        available.append(min(limit, max(0, limit - used_bytes + freeable)))
    return _least(available)


def _quota_cores(folder: Path) -> float | None:
    version_2 = [_whole(word) for word in _text(folder / "cpu.max").split()]
    version_1 = [_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    for pair in (version_2, version_1):
        if len(pair) == 2 and pair[0] and pair[1]:
            return pair[0] / pair[1]
    return None


def _cpuset_cores(folder: Path) -> int | None:
    return next((count for name in CPUSET_FILES if (count := _listed(_text(folder / name)))), None)


def _listed(cores: str) -> int:
    """Count the cores in a list such as 0-1,4; 0 if it is not one."""
    count = 0
    for part in cores.strip().split(","):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part)
        if found is None:
            return 0
        count += max(0, int(found[2] or found[1]) - int(found[1]) + 1)
    return count
