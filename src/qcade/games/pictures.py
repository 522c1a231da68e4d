"""Converting what an environment's `render()` returns into a picture for a video."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qcade.types import EnvironmentFailed, UInt8Array

_NEEDED = (
    "a video needs a picture: an array [height, width], or [height, width, channels] with 1, 3 "
    "(red, green, blue) or 4 channels, of whole numbers from 0 to 255 or of floats from 0 to 1"
)
_HALF_A_LEVEL = 0.5 / 255


def as_picture(rendered: object, environment_name: str) -> UInt8Array:
    """Convert what `render()` returned to uint8 [height, width, 3], without a copy if possible.

    Grey is repeated to three channels, alpha is dropped, floats from 0 to 1 are scaled to 255,
    booleans become black and white, and a list of pictures stands for its last one. Raises
    EnvironmentFailed for anything else.
    """
    array = _as_array(rendered)
    if not _has_shape_of_picture(array):
        raise _not_a_picture(rendered, array, environment_name)
    levels = _as_levels(array)
    if levels is None:
        raise _not_a_picture(rendered, array, environment_name)
    if levels.ndim == 3 and levels.shape[2] == 3:
        return levels
    if levels.ndim == 3 and levels.shape[2] == 4:
        return levels[:, :, :3]
    return levels.reshape(*levels.shape[:2], 1).repeat(3, axis=2)


def _as_array(rendered: object) -> NDArray[np.generic]:
    if isinstance(rendered, list) and rendered and _is_array_or_image(rendered[-1]):
        rendered = rendered[-1]
    if isinstance(rendered, Image.Image):
        # The raw values of a palette image are not colours.
        rendered = rendered.convert("RGB")
    try:
        return np.asarray(rendered)
    except Exception:
        # Rows of different lengths, a tensor on a GPU, or any error in the object's conversion.
        return np.array(None)


def _is_array_or_image(value: object) -> bool:
    return isinstance(value, (np.ndarray, Image.Image))


def _has_shape_of_picture(array: NDArray[np.generic]) -> bool:
    has_channels = array.ndim == 3 and array.shape[2] in (1, 3, 4)
    return array.size > 0 and (array.ndim == 2 or has_channels)


def _as_levels(array: NDArray[np.generic]) -> UInt8Array | None:
    """Convert to levels from 0 to 255, uint8 of the same shape; None if that is impossible."""
    if array.dtype == np.uint8:
        return np.asarray(array, np.uint8)
    if array.dtype.kind not in "biuf":
        return None
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind in "iu":
        return array.astype(np.uint8) if low >= 0 and high <= 255 else None
    # Tolerates rounding errors such as 1.0000001. If there is a NaN, both comparisons are false.
    if low >= -_HALF_A_LEVEL and high <= 1 + _HALF_A_LEVEL:
        return np.asarray(np.rint(array.clip(0, 1) * 255), np.uint8)
    return None


def _not_a_picture(
    rendered: object, array: NDArray[np.generic], environment_name: str
) -> EnvironmentFailed:
    return EnvironmentFailed(
        f"{environment_name}: render() returned {_describe(rendered, array)}, but {_NEEDED}"
    )


def _describe(rendered: object, array: NDArray[np.generic]) -> str:
    kind = type(rendered).__name__
    if rendered is None:
        return "None"
    if isinstance(rendered, str):
        return "text"
    if isinstance(rendered, (list, tuple)) and not rendered:
        return f"an empty {kind}"
    if not isinstance(rendered, np.ndarray) and (array.ndim == 0 or array.dtype.kind not in "biuf"):
        return f"an object of type {kind} that is not a picture"
    found = f"an array of {array.dtype}, shape {list(array.shape)}"
    if not isinstance(rendered, np.ndarray):
        found = f"a {kind} that holds {found}"
    if array.size == 0 or array.dtype.kind not in "iuf":
        return found
    if np.isnan(array).any():
        return f"{found}, with NaN among its values"
    return f"{found}, values from {array.min():g} to {array.max():g}"
