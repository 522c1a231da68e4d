"""From the frame that a game shows to the grey frame that an agent sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

from qcade.types import UInt8Array

Preprocess: TypeAlias = Callable[[UInt8Array], UInt8Array]
"""From uint8 [H', W'] (grey) or [H', W', 3] (red, green, blue) to uint8 [H, W]."""


def area(height: int, width: int) -> Preprocess:
    """Make luminance (ITU-R 601), resized to `height` x `width` by averaging over areas."""

    def preprocess(frame: UInt8Array) -> UInt8Array:
        grey = Image.fromarray(frame).convert("L")
        if grey.size != (width, height):
            grey = grey.resize((width, height), Image.Resampling.BOX)
        return np.array(grey, np.uint8)

    return preprocess


def subsampled_mean() -> Preprocess:
    """Make the mean of the colours of every other pixel of every other row: 210x160 to 105x80."""

    def preprocess(frame: UInt8Array) -> UInt8Array:
        sparse = frame[::2, ::2]
        if sparse.ndim == 2:
            return np.ascontiguousarray(sparse)
        total = sparse.sum(axis=2, dtype=np.uint16)
        return np.asarray(total // 3, np.uint8)

    return preprocess
