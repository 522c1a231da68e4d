"""Preprocessing: from the frame that a game shows to the grey frame that the agent sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

from qcade.types import UInt8Array

Preprocess: TypeAlias = Callable[[UInt8Array], UInt8Array]
"""Maps uint8 [H', W'] (grey) or [H', W', 3] (RGB) to uint8 [H, W]."""


def area(height: int, width: int) -> Preprocess:
    """Luminance (ITU-R 601), resized to `height` x `width` by averaging over areas."""

    def preprocess(frame: UInt8Array) -> UInt8Array:
        grey = Image.fromarray(frame).convert("L")
        if grey.size != (width, height):
            grey = grey.resize((width, height), Image.Resampling.BOX)
        return np.array(grey, np.uint8)

    return preprocess


def subsampled_mean() -> Preprocess:
    """The mean of the colours of every second pixel of every second row: 210x160 -> 105x80."""

    def preprocess(frame: UInt8Array) -> UInt8Array:
        sparse = frame[::2, ::2]
        if sparse.ndim == 2:
            return np.ascontiguousarray(sparse)
        total = sparse.sum(axis=2, dtype=np.uint16)
        return np.asarray(total // 3, np.uint8)

    return preprocess
