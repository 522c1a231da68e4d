"""Videos: pictures are scaled, a strip of figures is put below, and all is encoded as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from qcade.types import QcadeError, UInt8Array

STRIP_HEIGHT = 56
INK, FAINT, BACKGROUND, CHOSEN = (235, 235, 235), (130, 130, 130), (18, 18, 18), (255, 190, 60)


class VideoFile:
    """An mp4 that is written as pictures arrive; memory stays constant."""

    def __init__(self, path: Path, pictures_per_second: float) -> None:
        if path.suffix.lower() != ".mp4":
            raise QcadeError(f"{path} is no mp4 file name: use one like video.mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w")
        except OSError as error:
            raise QcadeError(f"cannot write {path}: {error.strerror or error}") from error
        self._rate = Fraction(pictures_per_second).limit_denominator(1_000)
        self._stream: VideoStream | None = None

    def add(self, picture: UInt8Array) -> None:
        """Append one picture: uint8 [height, width, 3], even height and width, all the same."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.height, self._stream.width = picture.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "20", "preset": "veryfast"}
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None and kind is None:
            self._container.mux(self._stream.encode())
        self._container.close()


def enlarge(picture: UInt8Array, least_width: int = 480) -> UInt8Array:
    """Repeat pixels so that a picture is at least so wide, keeping both sides even."""
    factor = max(1, -(-least_width // picture.shape[1]))
    if factor % 2 and (picture.shape[0] % 2 or picture.shape[1] % 2):
        factor += 1
    return picture.repeat(factor, 0).repeat(factor, 1)


def figures_strip(
    width: int,
    text: str,
    q_values: Sequence[float],
    action_meanings: Sequence[str],
    action: int,
) -> UInt8Array:
    """Draw a line of text above a bar for each action's value; the chosen one is bright."""
    image = Image.new("RGB", (width, STRIP_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((8, 4), text, fill=INK, font=ImageFont.load_default(14))
    if q_values:
        low, high = min(q_values), max(q_values)
        column = (width - 8) / len(q_values)
        font = ImageFont.load_default(9)
        for index, (value, name) in enumerate(zip(q_values, action_meanings, strict=True)):
            left = 8 + index * column
            height = 2 + 14 * (value - low) / max(high - low, 1e-6)
            colour = CHOSEN if index == action else FAINT
            draw.rectangle((left, 42 - height, left + column - 6, 42), fill=colour)
            label = name if column > 52 else name[: max(1, int(column / 7))]
            draw.text(
                (left, 43), f"{label} {value:.2f}" if column > 74 else label, fill=colour, font=font
            )
    return np.asarray(image)
