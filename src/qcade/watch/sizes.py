"""Scaling pictures to the size of a video."""

from __future__ import annotations

import numpy as np
from PIL import Image

from qcade.types import QcadeError, UInt8Array

MOST_SIDE_PIXELS = 16_384
"""The limit of libx264."""
MOST_PIXELS = 2**25
"""8,192 x 4,096: encoding larger pictures takes more than 4 GB of memory."""
_MOST_ENLARGED_SIDE_PIXELS = 8_192


class Canvas:
    """Scales pictures to the size of a video, which its first picture decides."""

    def __init__(self, least_width: int = 480) -> None:
        """Enlarge pictures to at least this width in pixels."""
        self._least_width = least_width
        self._size: tuple[int, int] | None = None

    def show(self, picture: UInt8Array) -> UInt8Array:
        """Enlarge a picture, uint8 [height, width, 3]; all results have the same size."""
        large = enlarge(picture, self._least_width)
        if self._size is None:
            self._size = large.shape[0], large.shape[1]
        return letterbox(large, *self._size)


def enlarge(picture: UInt8Array, least_width: int = 480) -> UInt8Array:
    """Repeat pixels until a picture is wide enough and both sides are even.

    A tall picture stays narrower if it would become too tall. Raises QcadeError for a picture that
    no video can show.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    factor = min(-(-least_width // width), _MOST_ENLARGED_SIDE_PIXELS // max(height, width))
    if factor > 1:
        # Columns first: repeating whole rows is faster than repeating single pixels.
        picture = picture.repeat(factor, 1).repeat(factor, 0)
    return make_even(picture)


def make_even(picture: UInt8Array) -> UInt8Array:
    """Repeat the last row or column of a picture whose height or width is odd."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return picture


def letterbox(picture: UInt8Array, height: int, width: int) -> UInt8Array:
    """Scale a picture to fit `height` x `width`, keeping its proportions, with black bars."""
    if picture.shape[:2] == (height, width):
        return picture
    scale = min(height / picture.shape[0], width / picture.shape[1])
    new_height = max(1, round(picture.shape[0] * scale))
    new_width = max(1, round(picture.shape[1] * scale))
    scaled = Image.fromarray(picture).resize((new_width, new_height), Image.Resampling.BILINEAR)
    framed = Image.new("RGB", (width, height))
    framed.paste(scaled, ((width - new_width) // 2, (height - new_height) // 2))
    return np.asarray(framed)


def check_picture(picture: UInt8Array) -> None:
    """Raise QcadeError unless a picture is uint8 [height, width, 3] of a size that videos allow."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise QcadeError(
            "the pictures of a video must be uint8 [height, width, 3], but this game's film has "
            f"{picture.dtype} {list(picture.shape)}"
        )
    height, width = picture.shape[:2]
    if height < 1 or width < 1:
        raise QcadeError(
            f"a picture of {width}x{height} pixels (width x height) cannot be filmed: it is empty"
        )
    if max(height, width) > MOST_SIDE_PIXELS or height * width > MOST_PIXELS:
        raise QcadeError(
            f"a picture of {width:,}x{height:,} pixels (width x height) is too large for a video: "
            f"the limit is {MOST_SIDE_PIXELS:,} pixels per side and {MOST_PIXELS:,} in all"
        )
