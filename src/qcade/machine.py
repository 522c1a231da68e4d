"""What this machine has: devices, arithmetic, memory; and settings that make it faster."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from qcade.recipe import Compute
from qcade.types import QcadeError

LARGEST_BFLOAT16_ERROR = 0.05
"""Of gradients, against float32; rounding to 8 bits leaves about 0.02."""
GLIBC_TRIM_THRESHOLD, GLIBC_MMAP_THRESHOLD = -1, -3
GLIBC_LARGEST_MMAP_THRESHOLD = 32 * 2**20

# Version 2 and version 1: folder, and names of limit, use and file cache in it.
CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "inactive_file")),
    (
        Path("/sys/fs/cgroup/memory"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
)


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
    if compute.precision == "auto":
        trusted = _has_bfloat16(device) and bfloat16_error(device) < LARGEST_BFLOAT16_ERROR
        precision = torch.bfloat16 if trusted else torch.float32
    else:
        precision = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
    return Hardware(device, precision, compute.threads or available_cores(), compute.graphs)


def available_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory_bytes(device: torch.device | None = None) -> int:
    """Memory that this process may still take: the machine's, or its container's if less.

    Of a CUDA device, its own; other devices share the machine's.
    """
    if device is not None and device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    groups = (group_available_bytes(folder, *files) for folder, files in CONTROL_GROUPS)
    limited = [available for available in groups if available is not None]
    return min([psutil.virtual_memory().available, *limited])


def group_available_bytes(folder: Path, limit: str, used: str, cache: str) -> int | None:
    """Memory that a Linux control group may still take; None if it has no limit, or is none.

    `limit` and `used` are files, `cache` is a line of memory.stat: files that lie in memory count
    as used, but the kernel gives them up first.
    """
    try:
        most, taken = (int((folder / name).read_text()) for name in (limit, used))
        lines = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    freeable = sum(int(line.split()[1]) for line in lines if line.startswith(f"{cache} "))
    return max(0, most - taken + freeable)


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
