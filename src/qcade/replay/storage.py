"""How the frames of a ring are stored: raw on a device, or compressed in host memory.

Compressed, an environment's frames of 16 consecutive rows form a group. The first one is compressed
alone and serves as the dictionary for the others, since most of a picture does not change; reading
any frame takes two short decompressions. docs/log.md has the measurements behind this design.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import lz4.block
import numpy as np
import torch
from torch import Tensor

from qcade.compute.transfer import put
from qcade.types import UInt8Array

StorageKind: TypeAlias = Literal["raw", "compressed"]
GROUP_ROWS = 16
LEVEL = 4
"""Level of LZ4's high compression; higher levels are slower and gain little."""
LEAST_COMPRESSION = 6
"""Compression ratio assumed in predictions; docs/log.md has the measured ones."""
_END_BYTES = 4


class FrameStorage(Protocol):
    """Frames by slot; a slot is a row's place in the ring times E, plus the environment."""

    @property
    def nbytes(self) -> int:
        """Memory in use now, in bytes."""
        ...

    def write(self, place: int, frames: Tensor) -> None:
        """Replace the frames of one row: uint8 [E, H*W].

        Places must be written in order, starting again at 0 after the last one. After a jump to
        another place, earlier frames must not be read.
        """
        ...

    def read(self, slots: Tensor) -> Tensor:
        """Look up frames: int64 [n] -> uint8 [n, H*W], on the device of the ring."""
        ...


def make_storage(
    kind: StorageKind, rows: int, environments: int, pixels: int, device: torch.device
) -> FrameStorage:
    """Make storage for `rows` rows of E frames of H*W = `pixels` bytes each."""
    if kind == "raw":
        return RawFrames(rows, environments, pixels, device)
    return CompressedFrames(rows, environments, pixels, device)


def bytes_per_frame(kind: StorageKind, pixels: int) -> int:
    """Predict the memory of one frame in bytes: exact for raw, an upper estimate if compressed."""
    if kind == "raw":
        return pixels
    return -(-pixels // LEAST_COMPRESSION) + _END_BYTES


class RawFrames:
    """One tensor on a device."""

    def __init__(self, rows: int, environments: int, pixels: int, device: torch.device) -> None:
        self.environments = environments
        size = rows * environments
        self._frames = torch.empty((size, pixels), dtype=torch.uint8, device=device)

    @property
    def nbytes(self) -> int:
        """Memory in use, in bytes; constant from the start."""
        return self._frames.nbytes

    def write(self, place: int, frames: Tensor) -> None:
        """Replace the frames of one row: uint8 [E, H*W]."""
        slots = slice(place * self.environments, (place + 1) * self.environments)
        put(self._frames[slots], frames)

    def read(self, slots: Tensor) -> Tensor:
        """Look up frames: int64 [n] -> uint8 [n, H*W]."""
        return self._frames.index_select(0, slots)


class CompressedFrames:
    """One block of bytes per group of rows; the unfinished group is kept uncompressed.

    A block holds the frames of all environments, so there are few blocks, and they are freed in the
    order in which they were allocated, which avoids heap fragmentation.
    """

    def __init__(self, rows: int, environments: int, pixels: int, device: torch.device) -> None:
        self.rows, self.environments, self.pixels = rows, environments, pixels
        self.device = device
        groups = -(-rows // GROUP_ROWS)
        self._blocks: list[bytes] = [b""] * groups
        # Where each frame in a block ends: environment by environment, row by row.
        self._ends = np.zeros((groups, 1 + environments * GROUP_ROWS), dtype=np.uint32)
        self._open: UInt8Array = np.zeros((environments, GROUP_ROWS, pixels), dtype=np.uint8)
        # The newest rows, up to `_open_until` in this group, are still uncompressed.
        self._open_group, self._open_until = 0, 0

    @property
    def nbytes(self) -> int:
        """Memory in use now, in bytes."""
        return sum(map(len, self._blocks)) + self._ends.nbytes + self._open.nbytes

    def write(self, place: int, frames: Tensor) -> None:
        """Replace the frames of one row: uint8 [E, H*W]; compress each group when complete."""
        group, member = divmod(place, GROUP_ROWS)
        self._open[:, member] = frames.cpu().numpy()
        self._open_group, self._open_until = group, member + 1
        if member + 1 == GROUP_ROWS or place + 1 == self.rows:
            self._close(group, member + 1)

    def read(self, slots: Tensor) -> Tensor:
        """Look up frames: int64 [n] -> uint8 [n, H*W]; each is decompressed once per call."""
        distinct, positions = np.unique(slots.cpu().numpy(), return_inverse=True)
        place, environment = np.divmod(distinct, self.environments)
        group, member = np.divmod(place, GROUP_ROWS)
        is_open = (group == self._open_group) & (member < self._open_until)
        key = environment * GROUP_ROWS
        frame = key + member
        found = torch.empty((len(distinct), self.pixels), dtype=torch.uint8)
        target = found.numpy().reshape(-1).data
        keys: dict[tuple[int, int], bytes] = {}
        columns = (
            is_open,
            group,
            environment,
            member,
            self._ends[group, key],
            self._ends[group, key + 1],
            self._ends[group, frame],
            self._ends[group, frame + 1],
        )
        begin, pixels, decompress = 0, self.pixels, lz4.block.decompress
        for uncompressed, g, e, m, key_from, key_until, from_, until_ in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            end = begin + pixels
            if uncompressed:
                target[begin:end] = self._open[e, m].data
            else:
                block = self._blocks[g]
                content = keys.get((g, e))
                if content is None:
                    content = decompress(block[key_from:key_until], uncompressed_size=pixels)
                    keys[g, e] = content
                if m:
                    content = decompress(
                        block[from_:until_], uncompressed_size=pixels, dict=content
                    )
                target[begin:end] = content
            begin = end
        return found.to(self.device).index_select(0, torch.from_numpy(positions).to(self.device))

    def _close(self, group: int, rows: int) -> None:
        parts: list[bytes] = []
        sizes = np.zeros((self.environments, GROUP_ROWS), dtype=np.uint32)
        for environment in range(self.environments):
            key = self._open[environment, 0].tobytes()
            parts.append(_compressed(key, b""))
            sizes[environment, 0] = len(parts[-1])
            for member in range(1, rows):
                parts.append(_compressed(self._open[environment, member].data, key))
                sizes[environment, member] = len(parts[-1])
        self._blocks[group] = b"".join(parts)
        np.cumsum(sizes.reshape(-1), out=self._ends[group, 1:])


def _compressed(frame: bytes | memoryview, dictionary: bytes) -> bytes:
    block: bytes = lz4.block.compress(
        frame,
        mode="high_compression",
        compression=LEVEL,
        store_size=False,
        dict=dictionary,
    )
    return block
