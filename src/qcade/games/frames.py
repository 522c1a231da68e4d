"""From the frame that a game shows to the grey frame that an agent sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np

from qcade.types import UInt8Array

Preprocess: TypeAlias = Callable[[UInt8Array], UInt8Array]
"""From uint8 [H', W'] (grey) or [H', W', 3] (red, green, blue) to uint8 [H, W]."""


def area(height: int, width: int) -> Preprocess:
    """Make luminance, resized to `height` x `width` pixels by averaging over areas."""

    def preprocess(frame: UInt8Array) -> UInt8Array:
        grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if grey.shape != (height, width):
            grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(grey, np.uint8)

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


def colour(frame: UInt8Array) -> UInt8Array:
    """Copy a grey or coloured frame to uint8 [H', W', 3], for a person to look at."""
    image = frame[..., None] if frame.ndim == 2 else frame
    return np.array(np.broadcast_to(image, (*image.shape[:2], 3)))
