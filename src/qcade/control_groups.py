"""What Linux control groups let this process use: those of containers, jobs and services.

A group's limits hold for every group inside it, so the tightest of all levels counts. Version 2
has one tree of groups, version 1 has one for each controller, and a machine may have both.
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
"""Version 1 says "no limit" with about the largest number there is."""

VERSION_2 = ""
"""In /proc/self/cgroup, version 2 stands in place of the controllers."""

# Where there is no table of mounts: where systems usually have them.
USUAL_MOUNTS = (
    ("/sys/fs/cgroup", frozenset({VERSION_2})),
    ("/sys/fs/cgroup/memory", frozenset({"memory"})),
    ("/sys/fs/cgroup/cpu", frozenset({"cpu"})),
    ("/sys/fs/cgroup/cpuset", frozenset({"cpuset"})),
)

# Versions 2 and 1: the files of limits, the file of use, and the line of memory.stat that counts
# files in memory, which the kernel frees before it runs out. Above memory.high nothing is killed,
# but the kernel slows a program down until it hardly runs.
MEMORY_FILES = (
    (("memory.max", "memory.high"), "memory.current", "inactive_file"),
    (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
)
CPUSET_FILES = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")


@dataclass(frozen=True)
class Limits:
    """What the control groups of this process leave it; None where they set no limit."""

    memory_bytes: int | None = None
    """Memory that may still be taken."""
    quota_cores: float | None = None
    """Processor time in a second, in seconds: 0.5 is half a core."""
    cpuset_cores: int | None = None
    """Cores that programs may be put on."""

    @property
    def cores(self) -> int | None:
        """Cores that can be kept busy: a quota counts rounded up; at least 1."""
        quota = None if self.quota_cores is None else math.ceil(self.quota_cores)
        known = [count for count in (quota, self.cpuset_cores) if count is not None]
        return max(1, min(known)) if known else None


class _Mount(NamedTuple):
    point: str
    """Where the tree of groups can be seen."""
    root: str
    """Which group of the tree is seen there."""
    controllers: frozenset[str]


def read_limits(root: Path = Path("/")) -> Limits:
    """Read the limits of this process from the file system at `root`; what is unreadable is none.

    Follows its groups from the mount points down. A group that cannot be seen, as from inside a
    container, counts as the nearest one above it that can.
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
    """A number that is not negative; None where there is none, as in "max"."""
    return _whole(_text(path).strip())


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text) else None


def _groups(root: Path) -> dict[str, str]:
    """This process's group in each controller's tree, and in version 2's."""
    groups = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and (controllers or number == "0"):
            groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _mounts(root: Path) -> list[_Mount]:
    """Where trees of groups are mounted."""
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
    """Spaces and the like are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _levels(root: Path, mounts: list[_Mount], controller: str, group: str) -> Iterator[Path]:
    """The folders of a group and of those it is in, as far as they can be seen."""
    there = [mount for mount in mounts if controller in mount.controllers]
    seen = [(mount, below) for mount in there if (below := _below(mount.root, group)) is not None]
    # What is mounted here is another part of the tree: most likely the group itself, or one around
    # it, whose name is not known inside a container.
    for mount, below in seen or [(mount, ()) for mount in there[:1]]:
        folder = root / mount.point.lstrip("/")
        yield folder
        for name in below:
            folder /= name
            yield folder


def _below(mounted: str, group: str) -> tuple[str, ...] | None:
    """The way from a mounted group down to a group; None if it is not inside that."""
    above, way = mounted.strip("/").split("/"), group.strip("/").split("/")
    above, way = [[name for name in path if name] for path in (above, way)]
    below = way[len(above) :]
    return None if way[: len(above)] != above or ".." in below else tuple(below)


def _available_bytes(folder: Path) -> int | None:
    """Memory that a group may still take: its limit, less what it uses and cannot free at once."""
    available = []
    for limits, used, cache in MEMORY_FILES:
        limit = _least(_number(folder / name) for name in limits)
        if limit is None or limit >= LEAST_UNLIMITED_BYTES:
            continue
        taken = _number(folder / used) or 0
        lines = [line.split() for line in _text(folder / "memory.stat").splitlines()]
        freeable = sum(_whole(line[1]) or 0 for line in lines if line[:1] == [cache] and line[1:])
        available.append(min(limit, max(0, limit - taken + freeable)))
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
    """Count a list such as 0-1,4; 0 if it is none."""
    count = 0
    for part in cores.strip().split(","):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part)
        if found is None:
            return 0
        count += max(0, int(found[2] or found[1]) - int(found[1]) + 1)
    return count
