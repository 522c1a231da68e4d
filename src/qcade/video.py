"""Videos: pictures are scaled, a strip of figures is put below, and all is encoded as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache, lru_cache
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, cast

import av
import numpy as np
from av.filter import Graph
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from qcade.types import QcadeError, UInt8Array

STRIP_HEIGHT = 56
INK, FAINT, BACKGROUND, CHOSEN = (235, 235, 235), (130, 130, 130), (18, 18, 18), (255, 190, 60)
SOFT = (180, 180, 180)


class VideoFormat(NamedTuple):
    """How a kind of file is encoded."""

    codec: str
    """FFmpeg's name of the encoder."""
    pixels: str
    """FFmpeg's name of how colours are stored."""
    options: dict[str, str]
    """What the encoder is told."""
    least_width: int
    """Pictures are enlarged to at least so many pixels."""
    most_pictures_per_second: int
    """Of faster games only every second, third ... picture is kept."""


FORMATS = {
    ".mp4": VideoFormat("libx264", "yuv420p", {"crf": "20", "preset": "veryfast"}, 480, 1_000),
    ".webm": VideoFormat(
        "libvpx-vp9",
        "yuv420p",
        {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "8"},
        480,
        1_000,
    ),
    # Every picture is stored nearly whole, and players slow down beyond 20 a second.
    ".gif": VideoFormat("gif", "pal8", {}, 320, 20),
}


def video_format(path: Path) -> VideoFormat:
    """Find the format that a file's name asks for; QcadeError if there is none."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise QcadeError(f"{path} is no video file name: it must end in {', '.join(FORMATS)}")
    return found


class VideoFile:
    """A video that is written as pictures arrive; memory stays constant."""

    def __init__(self, path: Path, pictures_per_second: float) -> None:
        """Open a file of the format that its name asks for; QcadeError if that cannot be."""
        self._format = video_format(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w")
        except OSError as error:
            raise QcadeError(f"cannot write {path}: {error.strerror or error}") from error
        self._kept_period = ceil(pictures_per_second / self._format.most_pictures_per_second)
        self._rate = Fraction(pictures_per_second / self._kept_period).limit_denominator(1_000)
        self._stream: VideoStream | None = None
        self._palette: Graph | None = None
        self._pictures = 0

    def add(self, picture: UInt8Array) -> None:
        """Append one picture: uint8 [height, width, 3], even height and width, all the same."""
        if self._stream is None:
            height, width = picture.shape[:2]
            added = self._container.add_stream(self._format.codec, rate=self._rate)
            self._stream = cast("VideoStream", added)
            self._stream.height, self._stream.width = height, width
            self._stream.pix_fmt = self._format.pixels
            self._stream.options = dict(self._format.options)
            if self._format.pixels == "pal8":
                self._palette = _palette_graph(height, width, self._rate)
        number, self._pictures = self._pictures, self._pictures + 1
        if number % self._kept_period:
            return
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number // self._kept_period, 1 / self._rate
        for each in [frame] if self._palette is None else _filtered(self._palette, frame):
            self._container.mux(self._stream.encode(each))

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None and kind is None:
            for frame in [] if self._palette is None else _filtered(self._palette, None):
                self._container.mux(self._stream.encode(frame))
            self._container.mux(self._stream.encode())
        self._container.close()


def enlarge(picture: UInt8Array, least_width: int = 480) -> UInt8Array:
    """Repeat pixels so that a picture is at least so wide, keeping both sides even."""
    factor = max(1, -(-least_width // picture.shape[1]))
    if factor % 2 and (picture.shape[0] % 2 or picture.shape[1] % 2):
        factor += 1
    # Whole rows are quick to repeat, single pixels are not.
    return picture.repeat(factor, 1).repeat(factor, 0)


def caption_strip(width: int, lines: Sequence[str]) -> UInt8Array:
    """Draw two lines of text, the first one brighter: uint8 [STRIP_HEIGHT, width, 3]."""
    bright, soft = lines
    return np.concatenate((_caption_line(width, bright, INK), _caption_line(width, soft, SOFT)))


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
    draw.text((8, 4), text, fill=INK, font=_font(14))
    if q_values:
        low, high = min(q_values), max(q_values)
        column = (width - 8) / len(q_values)
        font = _font(9)
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


@lru_cache(maxsize=64)
def _caption_line(width: int, text: str, colour: tuple[int, int, int]) -> UInt8Array:
    image = Image.new("RGB", (width, STRIP_HEIGHT // 2), BACKGROUND)
    size = next((s for s in (17, 15, 13, 11) if _font(s).getlength(text) <= width - 16), 9)
    middle = (8, STRIP_HEIGHT // 4)
    ImageDraw.Draw(image).text(middle, text, fill=colour, font=_font(size), anchor="lm")
    return np.asarray(image)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _palette_graph(height: int, width: int, rate: Fraction) -> Graph:
    # A palette for each picture is exact, and needs no look at the pictures to come.
    graph = Graph()
    source = graph.add(
        "buffer",
        f"width={width}:height={height}:pix_fmt=rgb24:"
        f"time_base={rate.denominator}/{rate.numerator}",
    )
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=none")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def _filtered(graph: Graph, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
    graph.push(frame)
    while True:
        try:
            filtered = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(filtered, av.VideoFrame)
        yield filtered
