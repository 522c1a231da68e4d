"""What control groups leave a process, read from trees of files like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcade.compute.control_groups import Limits, read_limits

VERSION_2 = "31 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
TMPFS = "30 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
VERSION_1 = (
    TMPFS
    + "32 30 0:28 / /sys/fs/cgroup/memory rw shared:9 master:2 - cgroup cgroup rw,memory\n"
    + "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    + "34 30 0:30 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset\n"
)
GIGABYTE = 10**9


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a root that stands for /."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def machine(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """A machine whose files in /sys/fs/cgroup are these."""
    within = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    proc = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
    return write(root, {**proc, **within})


def test_a_limit_above_the_own_group_counts(tmp_path: Path) -> None:
    files = {
        "memory.stat": "inactive_file 5\n",
        "system.slice/memory.max": "max\n",
        "system.slice/memory.current": "900\n",
        "system.slice/job.scope/memory.max": f"{2 * GIGABYTE}\n",
        "system.slice/job.scope/memory.current": f"{GIGABYTE}\n",
        "system.slice/job.scope/memory.stat": "anon 8\ninactive_file 70\nactive_file 9\n",
        "system.slice/job.scope/step/memory.max": "max\n",
        "system.slice/job.scope/step/memory.current": "100\n",
    }
    root = machine(tmp_path, "0::/system.slice/job.scope/step\n", VERSION_2, files)
    assert read_limits(root) == Limits(memory_bytes=GIGABYTE + 70)


def test_the_tightest_level_counts_and_not_that_of_a_sibling(tmp_path: Path) -> None:
    files = {
        "a/memory.max": "1000",
        "a/memory.current": "300",
        "a/b/memory.max": "650",
        "a/b/memory.current": "0",
        "a/c/memory.max": "1",
        "a/cpu.max": "150000 100000",
        "a/b/cpu.max": "200000 100000",
        "a/c/cpu.max": "1000 100000",
        "a/cpuset.cpus.effective": "0-3",
        "a/b/cpuset.cpus.effective": "1-2",
    }
    root = machine(tmp_path, "0::/a/b\n", VERSION_2, files)
    assert read_limits(root) == Limits(650, 1.5, 2)
    (root / "sys/fs/cgroup/a/memory.current").write_text("400")
    assert read_limits(root).memory_bytes == 600


def test_memory_high_is_a_limit_too(tmp_path: Path) -> None:
    files = {"a/memory.max": "max", "a/memory.high": "500", "a/memory.current": "200"}
    assert read_limits(machine(tmp_path, "0::/a\n", VERSION_2, files)).memory_bytes == 300


@pytest.mark.parametrize(
    ("used", "cache", "left"), [(800, 450, 650), (1100, 0, 0), (1100, 300, 200), (0, 400, 1000)]
)
def test_files_in_memory_are_freed_first(tmp_path: Path, used: int, cache: int, left: int) -> None:
    files = {
        "memory.max": "1000\n",
        "memory.current": f"{used}\n",
        "memory.stat": f"anon 300\ninactive_file_of_others 7\ninactive_file {cache}\n",
    }
    assert read_limits(machine(tmp_path, "0::/\n", VERSION_2, files)).memory_bytes == left


VERSION_1_FILES = {
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.usage_in_bytes": "77\n",
    "memory/slurm/job_7/memory.limit_in_bytes": f"{4 * GIGABYTE}\n",
    "memory/slurm/job_7/memory.usage_in_bytes": f"{3 * GIGABYTE}\n",
    "memory/slurm/job_7/memory.stat": "inactive_file 1\ntotal_inactive_file 20\n",
    "memory/slurm/job_7/step_0/memory.limit_in_bytes": "9223372036854710272\n",
    "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "cpu,cpuacct/docker/cpu.cfs_quota_us": "25000\n",
    "cpu,cpuacct/docker/cpu.cfs_period_us": "50000\n",
    "cpuset/cpuset.cpus": "0-7\n",
    "cpuset/mine/cpuset.cpus": "0-1,4\n",
}
VERSION_1_GROUPS = (
    "12:memory:/slurm/job_7/step_0\n11:cpu,cpuacct:/docker\n10:cpuset:/mine\n"
    "1:name=systemd:/user.slice\n"
)


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    root = machine(tmp_path, VERSION_1_GROUPS, VERSION_1, VERSION_1_FILES)
    assert read_limits(root) == Limits(GIGABYTE + 20, 0.5, 3)


def test_both_versions_may_be_there_at_once(tmp_path: Path) -> None:
    unified = "35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    files = {**VERSION_1_FILES, "unified/user.slice/cpu.max": "30000 100000\n"}
    groups = f"{VERSION_1_GROUPS}0::/user.slice\n"
    assert read_limits(machine(tmp_path, groups, VERSION_1 + unified, files)) == Limits(
        GIGABYTE + 20, 0.3, 3
    )


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("50000 100000", 1),
        ("150000 100000", 2),
        ("200000 100000", 2),
        ("1000 1000000", 1),
        ("max 100000", None),
        ("0 100000", None),
        ("50000 0", None),
        ("50000", None),
    ],
)
def test_a_quota_counts_rounded_up(tmp_path: Path, quota: str, cores: int | None) -> None:
    root = machine(tmp_path, "0::/a\n", VERSION_2, {"a/cpu.max": f"{quota}\n"})
    assert read_limits(root).cores == cores


@pytest.mark.parametrize(
    ("listed", "cores"),
    [("0-1,4", 3), ("7", 1), ("0-99999999", 100_000_000), ("", None), ("3-1", None), ("a", None)],
)
def test_sets_of_cores_are_counted(tmp_path: Path, listed: str, cores: int | None) -> None:
    root = machine(tmp_path, "0::/a\n", VERSION_2, {"a/cpuset.cpus.effective": f"{listed}\n"})
    assert read_limits(root).cores == cores


def test_the_smaller_of_quota_and_set_counts() -> None:
    assert Limits(quota_cores=1.5, cpuset_cores=3).cores == 2
    assert Limits(quota_cores=8.0, cpuset_cores=3).cores == 3
    assert Limits().cores is None


# Inside a container the names of groups may be those of the machine, of which less can be seen.
@pytest.mark.parametrize(
    ("group", "mounted"),
    [
        ("/", "/"),
        ("/docker/1a2b", "/docker/1a2b"),
        ("/docker/1a2b", "/"),
        ("/kubepods/pod7/1a2b", "/kubepods/other"),
        ("/docker/1a2b (deleted)", "/docker/1a2b"),
        ("/..", "/.."),
        ("/", "/../.."),
        ("/../..", "/"),
        ("/../sibling", "/"),
    ],
)
def test_what_cannot_be_seen_counts_as_what_is_around_it(
    tmp_path: Path, group: str, mounted: str
) -> None:
    mounts = f"31 23 0:27 {mounted} /sys/fs/cgroup/here rw - cgroup2 cgroup2 rw\n"
    files = {
        "here/memory.max": "1000",
        "here/memory.current": "100",
        # Outside of what is mounted.
        "memory.max": "1",
        "sibling/memory.max": "1",
    }
    assert read_limits(machine(tmp_path, f"0::{group}\n", mounts, files)).memory_bytes == 900


def test_groups_inside_a_container_are_followed_from_its_own(tmp_path: Path) -> None:
    mounts = "31 23 0:27 /docker/1a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    files = {"inner/memory.max": "50", "docker/1a/inner/memory.max": "1", "memory.max": "90"}
    root = machine(tmp_path, "0::/docker/1a/inner\n", mounts, files)
    assert read_limits(root).memory_bytes == 50


def test_of_two_mounts_the_one_that_shows_the_group_counts(tmp_path: Path) -> None:
    other = "40 23 0:27 /docker/other /mnt/a\\040b rw - cgroup2 cgroup2 rw\n"
    own = "41 23 0:27 /docker /mnt/c\\134d rw - cgroup2 cgroup2 rw\n"
    write(tmp_path, {"mnt/a b/memory.max": "1", "mnt/c\\d/1a/memory.max": "60"})
    root = machine(tmp_path, "0::/docker/1a\n", other + own, {})
    assert read_limits(root).memory_bytes == 60


def test_a_limit_counts_though_the_use_cannot_be_read(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", VERSION_2, {"memory.max": "1000", "memory.stat": "\n\nx\n"})
    (root / "sys/fs/cgroup/memory.current").mkdir()
    assert read_limits(root).memory_bytes == 1000


@pytest.mark.parametrize(
    "garbage",
    ["", "\n", "0:", "::::", "max", "-5", "1e9", "9" * 5000, "\0\0", "\u00b2", " - \n"],
)
def test_garbage_is_no_limit(tmp_path: Path, garbage: str) -> None:
    names = ("memory.max", "memory.high", "cpu.max", "cpuset.cpus.effective", "cpuset.cpus")
    root = machine(tmp_path, "0::/a\n", VERSION_2, {f"a/{name}": garbage for name in names})
    assert read_limits(root) == Limits()
    write(root, {"proc/self/cgroup": garbage, "proc/self/mountinfo": garbage})
    assert read_limits(root) == Limits()
    for name in ("cgroup", "mountinfo"):
        (root / "proc/self" / name).write_bytes(b"\xff\xfe" + garbage.encode())
    assert read_limits(root) == Limits()


def test_a_machine_without_control_groups_sets_no_limit(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == Limits()


def test_without_a_table_of_mounts_the_usual_places_are_looked_at(tmp_path: Path) -> None:
    write(tmp_path, {"sys/fs/cgroup/memory.max": "1000", "sys/fs/cgroup/memory.current": "1"})
    assert read_limits(tmp_path).memory_bytes == 999
    write(tmp_path, {"sys/fs/cgroup/memory/memory.limit_in_bytes": "600"})
    assert read_limits(tmp_path).memory_bytes == 600


def test_this_machine_can_be_read() -> None:
    limits = read_limits()
    assert limits.memory_bytes is None or limits.memory_bytes >= 0
    assert limits.cores is None or limits.cores >= 1
