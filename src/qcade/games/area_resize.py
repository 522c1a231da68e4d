"""Resizing pictures exactly as OpenCV's area interpolation, which ale-py uses.

Pixels are single-precision sums in OpenCV's order. (On CPUs other than x86-64, OpenCV's own results
may differ by one grey level.)
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qcade.games.frames import Preprocess
from qcade.types import FloatArray, IntArray, UInt8Array

Int32Array: TypeAlias = NDArray[np.int32]

_SHARE_TOO_SMALL = 1e-3
_FIXED_POINT_ONE = 2048


def opencv_area(source: tuple[int, int], target: tuple[int, int]) -> Preprocess:
    """Make a function that resizes uint8 [H', W'], the source, to uint8 [H, W], the target."""
    (source_height, source_width), (height, width) = source, target
    if source == target:
        return np.copy
    if height > source_height or width > source_width:
        return _enlarge(source, target)
    if source_height % height == 0 and source_width % width == 0:
        return _shrink_by_whole_numbers(source_height // height, source_width // width)
    return _shrink(source, target)


class _Taps(NamedTuple):
    """The source pixels, at most K, that contribute to each of N target pixels."""

    source: IntArray
    """int64 [K, N]"""
    weight: FloatArray
    """float32 [K, N]: 0 if a target pixel has fewer than K."""


def _shrink(source: tuple[int, int], target: tuple[int, int]) -> Preprocess:
    rows, columns = (_taps(*sizes) for sizes in zip(source, target, strict=True))

    def preprocess(frame: UInt8Array) -> UInt8Array:
        narrow = _weighted_sum(frame.T.astype(np.float32), columns)
        return _rounded(_weighted_sum(np.ascontiguousarray(narrow.T), rows))

    return preprocess


def _weighted_sum(lines: FloatArray, taps: _Taps) -> FloatArray:
    total: FloatArray = lines[taps.source[0]] * taps.weight[0][:, None]
    for source, weight in zip(taps.source[1:], taps.weight[1:], strict=True):
        total += lines[source] * weight[:, None]
    return total


def _taps(source: int, target: int) -> _Taps:
    scale = 1.0 / (target / source)
    shares = [_shares(i * scale, scale, source) for i in range(target)]
    most = max(map(len, shares))
    taps = _Taps(np.zeros((most, target), np.int64), np.zeros((most, target), np.float32))
    for i, pixels in enumerate(shares):
        for k, (index, weight) in enumerate(pixels):
            taps.source[k, i], taps.weight[k, i] = index, weight
    return taps


def _shares(start: float, scale: float, source: int) -> list[tuple[int, float]]:
    """The source pixels between `start` and `start + scale`, with their weights, which sum to 1."""
    length = min(scale, source - start)
    end = start + scale
    last_whole = min(int(np.floor(end)), source - 1)
    first_whole = min(int(np.ceil(start)), last_whole)
    shares = []
    if first_whole - start > _SHARE_TOO_SMALL:
        shares.append((first_whole - 1, (first_whole - start) / length))
    shares += [(index, 1.0 / length) for index in range(first_whole, last_whole)]
    if end - last_whole > _SHARE_TOO_SMALL:
        shares.append((last_whole, min(end - last_whole, 1.0, length) / length))
    return shares


def _shrink_by_whole_numbers(rows: int, columns: int) -> Preprocess:
    def preprocess(frame: UInt8Array) -> UInt8Array:
        height, width = frame.shape[0] // rows, frame.shape[1] // columns
        blocks = frame.reshape(height, rows, width, columns)
        sums = blocks.sum(axis=(1, 3), dtype=np.int32)
        if rows == columns == 2:
            return np.asarray((sums + 2) >> 2, np.uint8)
        return _rounded(sums.astype(np.float32) * np.float32(1.0 / (rows * columns)))

    return preprocess


def _enlarge(source: tuple[int, int], target: tuple[int, int]) -> Preprocess:
    """Interpolate in fixed point; only target pixels that span two source pixels are mixed."""
    (top, bottom, row_weights), (left, right, column_weights) = (
        _neighbours(*sizes) for sizes in zip(source, target, strict=True)
    )
    first, second = row_weights[:, :, None]

    def preprocess(frame: UInt8Array) -> UInt8Array:
        wide = frame.astype(np.int32)
        lines = wide[:, left] * column_weights[0] + wide[:, right] * column_weights[1]
        upper, lower = (first * (lines[top] >> 4)) >> 16, (second * (lines[bottom] >> 4)) >> 16
        return np.asarray((upper + lower + 2) >> 2, np.uint8)

    return preprocess


def _neighbours(source: int, target: int) -> tuple[IntArray, IntArray, Int32Array]:
    """Two source pixels of each target pixel, int64 [N] each, and their weights, int32 [2, N]."""
    inverse = target / source
    scale = 1.0 / inverse
    numbers = np.arange(target)
    index = np.floor(numbers * scale).astype(np.int64)
    share = ((numbers + 1) - (index + 1) * inverse).astype(np.float32)
    share = np.where(share <= 0, np.float32(0), share - np.floor(share))
    beyond = index >= source - 1
    share[beyond], index[beyond] = 0, source - 1
    weights = np.stack([np.float32(1) - share, share]) * np.float32(_FIXED_POINT_ONE)
    return index, np.minimum(index + 1, source - 1), np.rint(weights).astype(np.int32)


def _rounded(sums: FloatArray) -> UInt8Array:
    return np.clip(np.rint(sums), 0, 255).astype(np.uint8)
