"""What this machine offers: devices, precisions, memory; and settings that speed it up."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from torch import nn

from qcade.compute.control_groups import read_limits
from qcade.compute.cores import default_threads
from qcade.compute.settings import Compute
from qcade.types import QcadeError

LARGEST_BFLOAT16_ERROR = 0.05
"""Largest relative error of gradients against float32; correct rounding gives about 0.02."""
GLIBC_TRIM_THRESHOLD, GLIBC_MMAP_THRESHOLD = -1, -3
GLIBC_LARGEST_MMAP_THRESHOLD = 32 * 2**20


@dataclass(frozen=True)
class Hardware:
    """A recipe's `compute` settings, resolved for this machine."""

    device: torch.device
    """Where networks and updates run."""
    precision: torch.dtype
    """Data type of matrix products; weights stay float32."""
    threads: int
    """CPU threads for the learner, and as many for the emulators."""
    graphs: bool = True
    """Whether to use CUDA graphs if the device is a CUDA GPU."""

    @property
    def captures(self) -> bool:
        """Whether work is captured as CUDA graphs."""
        return self.graphs and self.device.type == "cuda"

    def autocast(self) -> torch.autocast:
        """A context in which the networks compute in `precision`."""
        return torch.autocast(
            self.device.type,
            dtype=torch.bfloat16,
            enabled=self.precision is torch.bfloat16,
            # The cache would hold memory of the graph being captured.
            cache_enabled=self.device.type != "cuda",
        )


def resolve(compute: Compute) -> Hardware:
    """Choose device, precision and threads; raises QcadeError if the device is missing."""
    device = _device(compute.device)
    threads = compute.threads or default_threads()
    if compute.precision == "auto":
        with torch_threads(threads):
            trusted = _has_bfloat16(device) and bfloat16_error(device) < LARGEST_BFLOAT16_ERROR
        precision = torch.bfloat16 if trusted else torch.float32
    else:
        precision = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
    return Hardware(device, precision, threads, compute.graphs)


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Set the number of PyTorch's threads within the context."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


class AvailableMemory(NamedTuple):
    """Memory that this process may still allocate."""

    bytes: int
    """0 or more."""
    limit: str = ""
    """What limits it, human-readable; empty if it is all the memory that is free."""


def available_memory(device: torch.device | None = None) -> AvailableMemory:
    """Return the memory that this process may still allocate, within its limits.

    For a CUDA device, the device's own memory; other devices use the machine's.
    """
    if device is not None and device.type == "cuda":
        try:
            return AvailableMemory(int(torch.cuda.mem_get_info(device)[0]))
        except RuntimeError:
            # On a full GPU even this query fails.
            return AvailableMemory(0)
    found = [AvailableMemory(_free_memory_bytes())]
    group, address_space = read_limits().memory_bytes, _free_address_space_bytes()
    if group is not None:
        found.append(AvailableMemory(group, "limit of the container"))
    if address_space is not None:
        found.append(AvailableMemory(address_space, "limit of ulimit -v"))
    return min(found, key=lambda available: available.bytes)


def available_memory_bytes(device: torch.device | None = None) -> int:
    """Memory that this process may still allocate, in bytes; see `available_memory`."""
    return available_memory(device).bytes


def _free_memory_bytes() -> int:
    try:
        return int(psutil.virtual_memory().available)
    except Exception:
        # Sandboxes may hide the files that psutil reads; an unknown amount must not stop a run.
        return sys.maxsize


def _free_address_space_bytes() -> int | None:
    """Address space left under `ulimit -v`; None if it is not limited or not on Linux."""
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
    """Free disk space where `folder` is or will be."""
    existing = folder.absolute()
    # Path.exists raises below a folder without read permission; os.path.exists does not.
    while not os.path.exists(existing) and existing != existing.parent:
        existing = existing.parent
    return shutil.disk_usage(existing).free


def busy_cores(seconds: float) -> float:
    """Cores kept busy by all programs together, measured for `seconds` seconds."""
    return sum(psutil.cpu_percent(seconds, percpu=True)) / 100


def keep_freed_memory() -> bool:
    """Tell glibc not to return freed memory to the kernel; False if there is no glibc.

    A training step frees and allocates the same large blocks thousands of times a second. Returning
    them costs one page fault per page: measured at a fifth of an update's time.
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
    """The relative error of a small network's gradients in bfloat16 against float32.

    The norm of the difference divided by the norm of the gradient; measured once per process. Some
    machines claim to support bfloat16 but compute it wrongly.
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
    """The CPU's name and vector instructions, as far as they are known."""
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
                f'device "{wanted}" is not available: PyTorch {torch.__version__} sees {found} '
                "CUDA GPUs here; use --compute.device cpu, or install a CUDA build of PyTorch"
            )
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise QcadeError('device "mps" is not available: use --compute.device cpu')
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
