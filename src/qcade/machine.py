"""What this machine has: devices, arithmetic, memory; and settings that make it faster."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from torch import nn

from qcade.control_groups import read_limits
from qcade.recipe import Compute
from qcade.types import QcadeError

LARGEST_BFLOAT16_ERROR = 0.05
"""Of gradients, against float32; rounding to 8 bits leaves about 0.02."""
GLIBC_TRIM_THRESHOLD, GLIBC_MMAP_THRESHOLD = -1, -3
GLIBC_LARGEST_MMAP_THRESHOLD = 32 * 2**20


@dataclass(frozen=True)
class Hardware:
    """A recipe's `compute`, resolved on this machine."""

    device: torch.device
    """Where networks and updates run."""
    precision: torch.dtype
    """What matrix products are computed in; weights stay float32."""
    threads: int
    """Processor threads for each of learner and emulators."""
    graphs: bool = True
    """Whether a CUDA GPU gets its work as captured graphs; other devices never do."""

    @property
    def captures(self) -> bool:
        """Whether work is captured here."""
        return self.graphs and self.device.type == "cuda"

    def autocast(self) -> torch.autocast:
        """A context in which the networks compute in `precision`."""
        return torch.autocast(
            self.device.type,
            dtype=torch.bfloat16,
            enabled=self.precision is torch.bfloat16,
            # What the cache holds would be memory of a graph that was being captured.
            cache_enabled=self.device.type != "cuda",
        )


def resolve(compute: Compute) -> Hardware:
    """Choose device, precision and threads; raise QcadeError if what is asked for is missing."""
    device = _device(compute.device)
    threads = compute.threads or default_threads()
    if compute.precision == "auto":
        with torch_threads(threads):
            trusted = _has_bfloat16(device) and bfloat16_error(device) < LARGEST_BFLOAT16_ERROR
        precision = torch.bfloat16 if trusted else torch.float32
    else:
        precision = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
    return Hardware(device, precision, threads, compute.graphs)


def available_cores() -> int:
    """Processor cores that this process may keep busy; at least 1.

    Those it may run on, or those of its container if less: half a core counts as one.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, read_limits().cores or cores))


def default_threads() -> int:
    """Threads where a recipe names none: all cores, or OMP_NUM_THREADS if that is less.

    Of a list such as 4,2 the first counts; what is no positive whole number is ignored.
    """
    named = re.match(r"\s*0*([1-9][0-9]{0,8})\s*(?:,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    return min(available_cores(), int(named[1])) if named else available_cores()


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch compute on a number of threads, then on as many as before."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


class AvailableMemory(NamedTuple):
    """Memory that this process may still take."""

    bytes: int
    """0 or more."""
    limit: str = ""
    """What leaves no more, for people; empty where it is all that is free."""


def available_memory(device: torch.device | None = None) -> AvailableMemory:
    """Say what memory this process may still take: the machine's, or within a limit if less.

    Of a CUDA device, its own; other devices share the machine's.
    """
    if device is not None and device.type == "cuda":
        try:
            return AvailableMemory(int(torch.cuda.mem_get_info(device)[0]))
        except RuntimeError:
            # A GPU that is full has no room for the answer either.
            return AvailableMemory(0)
    found = [AvailableMemory(_free_memory_bytes())]
    group, address_space = read_limits().memory_bytes, _free_address_space_bytes()
    if group is not None:
        found.append(AvailableMemory(group, "limit of the container"))
    if address_space is not None:
        found.append(AvailableMemory(address_space, "limit of ulimit -v"))
    return min(found, key=lambda available: available.bytes)


def available_memory_bytes(device: torch.device | None = None) -> int:
    """Memory that this process may still take, in bytes; see `available_memory`."""
    return available_memory(device).bytes


def _free_memory_bytes() -> int:
    try:
        return int(psutil.virtual_memory().available)
    except Exception:
        # Sandboxes hide files that psutil reads; not to know is no reason to refuse a run.
        return sys.maxsize


def _free_address_space_bytes() -> int | None:
    """What `ulimit -v` leaves; None without such a limit, or where nothing keeps to it."""
    if sys.platform != "linux":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        return max(0, limit - int(psutil.Process().memory_info().vms))
    except (psutil.Error, OSError):
        return limit


def available_disk_bytes(folder: Path) -> int:
    """Free disk where `folder` is or will be."""
    existing = folder.absolute()
    # os.path says no where Path.exists would raise: below a folder that may not be looked into.
    while not os.path.exists(existing) and existing != existing.parent:
        existing = existing.parent
    return shutil.disk_usage(existing).free


def busy_cores(seconds: float) -> float:
    """Cores that all programs together kept busy while this one waited for so long."""
    return sum(psutil.cpu_percent(seconds, percpu=True)) / 100


def keep_freed_memory() -> bool:
    """Tell glibc not to hand freed blocks back to the kernel; false where there is no glibc.

    A training step frees and takes the same large blocks thousands of times a second, and each
    hand-back costs a page fault a page: measured at a fifth of an update's time.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(
        libc.mallopt(GLIBC_MMAP_THRESHOLD, GLIBC_LARGEST_MMAP_THRESHOLD)
        and libc.mallopt(GLIBC_TRIM_THRESHOLD, 2**31 - 1)
    )


@functools.cache
def bfloat16_error(device: torch.device) -> float:
    """How far a small network's gradients in bfloat16 are from those in float32: 0 is equal.

    The length of the difference over the length of the gradient; tried once in a process. Some
    machines claim the arithmetic and compute it wrongly.
    """
    randomness = torch.Generator().manual_seed(0)
    frames = torch.rand(8, 4, 28, 28, generator=randomness).to(device)
    kernels = (torch.randn(16, 4, 8, 8, generator=randomness) / 16).to(device)
    weights = (torch.randn(8, 16 * 6 * 6, generator=randomness) / 24).to(device)
    gradients = []
    for enabled in (False, True):
        leaves = [part.clone().requires_grad_() for part in (kernels, weights)]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
            maps = nn.functional.conv2d(frames, leaves[0], stride=4).relu().flatten(1)
            values = nn.functional.linear(maps, leaves[1]).float()
        found = torch.autograd.grad(values.square().mean(), leaves)
        gradients.append(torch.cat([part.flatten() for part in found]))
    exact, rounded = gradients
    error = float((rounded - exact).norm() / exact.norm())
    return error if error == error else float("inf")


def describe_processor() -> str:
    """The processor's name and vector instructions, as far as they can be had."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise QcadeError(f'unknown device "{wanted}": use auto, cpu, cuda, cuda:1 or mps') from None
    if device.type == "cuda":
        found = torch.cuda.device_count()
        if (device.index or 0) >= found:
            raise QcadeError(
                f'device "{wanted}" is not there: PyTorch {torch.__version__} sees {found} CUDA '
                "GPUs here; use --compute.device cpu, or install a CUDA build of PyTorch"
            )
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise QcadeError('device "mps" is not there; use --compute.device cpu')
    elif device.type != "cpu":
        raise QcadeError(f'device "{wanted}" is not supported: use auto, cpu, cuda or mps')
    return device


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False))
    return False
