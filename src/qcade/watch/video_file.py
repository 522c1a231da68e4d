"""Video files: encoded picture by picture under a temporary name, and renamed when complete."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, cast

import av
from av.filter import Graph
from av.video.stream import VideoStream

from qcade.files.whole import flush, is_disk_full
from qcade.types import QcadeError, UInt8Array
from qcade.watch.sizes import check_picture, letterbox, make_even

_SLOWEST_RATE = Fraction(1, 1_000)
_NOT_IN_NAMES_ON_WINDOWS = frozenset('<>:"|?*')


class VideoFormat(NamedTuple):
    """How one file format is encoded."""

    container: str
    """FFmpeg's name of the file format."""
    codec: str
    """FFmpeg's name of the encoder."""
    pixels: str
    """FFmpeg's name of the pixel format."""
    options: dict[str, str]
    """Options of the encoder."""
    least_width: int
    """Pictures are enlarged to at least this width in pixels."""
    most_pictures_per_second: int
    """For faster games only every second, third ... picture is kept."""


FORMATS = {
    ".mp4": VideoFormat(
        "mp4", "libx264", "yuv420p", {"crf": "20", "preset": "veryfast"}, 480, 1_000
    ),
    ".webm": VideoFormat(
        "webm",
        "libvpx-vp9",
        "yuv420p",
        {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "8"},
        480,
        1_000,
    ),
    # Every picture is stored almost in full, and players slow down beyond 20 per second.
    ".gif": VideoFormat("gif", "gif", "pal8", {}, 320, 20),
}


def video_format(path: Path) -> VideoFormat:
    """Return the format for a file's extension; QcadeError if there is none."""
    known = FORMATS.get(path.suffix.lower())
    if known is None:
        raise QcadeError(f"{path} is not a video file name: it must end in {', '.join(FORMATS)}")
    return known


def pictures_within(seconds: float, pictures_per_second: float) -> int:
    """Return the number of pictures in a video, at least 1; QcadeError if the rate is not valid."""
    _check_rate(pictures_per_second)
    return max(1, round(seconds * pictures_per_second))


class VideoFile:
    """A video that is written as pictures arrive; memory stays constant.

    A context manager: the file appears, or replaces an older one, when the block ends without an
    exception; otherwise an older file stays, and the unfinished one is deleted.
    """

    def __init__(self, path: Path, pictures_per_second: float) -> None:
        """Open a file, in the format of its extension; QcadeError if that is not possible."""
        self._path, self._format = path, video_format(path)
        most = self._format.most_pictures_per_second
        self._kept_period, self._rate = _kept_rate(pictures_per_second, most)
        self._stream: VideoStream | None = None
        self._palette: Graph | None = None
        self._size = (0, 0)
        self._pictures = 0
        with _explained(path):
            self._target = _writable_target(path)
            self._temporary = _temporary_path(self._target)
            # Opened here, because FFmpeg reads names such as "catch:1.mp4" or "%d.gif" as addresses
            # and patterns. Buffered, because an unbuffered file may write less than it is given.
            self._file = open(self._temporary, "xb")  # noqa: SIM115
            try:
                self._container = av.open(self._file, "w", format=self._format.container)
            except BaseException:
                self._remove()
                raise

    def add(self, picture: UInt8Array) -> None:
        """Append one picture: uint8 [height, width, 3].

        The first one decides the size of the video; others are scaled to fit it, with black bars.
        Raises QcadeError if the picture cannot be encoded or the disk is full.
        """
        check_picture(picture)
        picture = make_even(picture)
        if self._stream is not None:
            picture = letterbox(picture, *self._size)
        number, self._pictures = self._pictures, self._pictures + 1
        if number % self._kept_period:
            return
        with _explained(self._path):
            if self._stream is None:
                self._stream = self._begin(*picture.shape[:2])
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
        if kind is not None:
            self._discard()
            return
        try:
            if self._stream is None:
                raise QcadeError(f"{self._path} was not written: there is no picture to show")
            with _explained(self._path):
                self._finish(self._stream)
        except BaseException:
            self._discard()
            raise

    def _begin(self, height: int, width: int) -> VideoStream:
        stream = cast(
            "VideoStream", self._container.add_stream(self._format.codec, rate=self._rate)
        )
        stream.height, stream.width = self._size = height, width
        stream.pix_fmt = self._format.pixels
        stream.options = dict(self._format.options)
        if self._format.pixels == "pal8":
            self._palette = _palette_graph(height, width, self._rate)
        return stream

    def _finish(self, stream: VideoStream) -> None:
        for frame in [] if self._palette is None else _filtered(self._palette, None):
            self._container.mux(stream.encode(frame))
        self._container.mux(stream.encode())
        self._container.close()
        self._file.flush()
        flush(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self._target)

    def _discard(self) -> None:
        # Closing writes pending data, which fails again on a full disk.
        with contextlib.suppress(Exception):
            self._container.close()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of the operating system and FFmpeg into a QcadeError about `path`."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise QcadeError(
                f"{path} was not written: the disk of {path.absolute().parent} is full; free "
                "some space or choose another --out"
            ) from error
        raise QcadeError(f"cannot write {path}: {error.strerror or error}") from error
    except (av.FFmpegError, ValueError) as error:
        raise QcadeError(
            f"{path} was not written, because FFmpeg cannot encode it ({error}): choose another "
            f"format, {', '.join(FORMATS)}"
        ) from error


def _kept_rate(pictures_per_second: float, most: int) -> tuple[int, Fraction]:
    """Return the period of the pictures that are kept, and the frame rate of the video."""
    _check_rate(pictures_per_second)
    kept_period = math.ceil(pictures_per_second / most)
    rate = Fraction(pictures_per_second / kept_period).limit_denominator(1_000)
    return kept_period, max(rate, _SLOWEST_RATE)


def _check_rate(pictures_per_second: float) -> None:
    if not (math.isfinite(pictures_per_second) and pictures_per_second > 0):
        raise QcadeError(
            f"a video cannot show {pictures_per_second} pictures a second: the game's "
            "pictures_per_second must be a positive number"
        )


def _writable_target(path: Path) -> Path:
    """Return the file that `path` stands for, behind links, and create its folder."""
    if os.name == "nt" and _NOT_IN_NAMES_ON_WINDOWS & set(path.name):
        raise QcadeError(f'cannot write {path}: on Windows a file name must not contain <>:"|?*')
    # A link to a file stays a link.
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        is_folder = stat.S_ISDIR(target.stat().st_mode)
    except (FileExistsError, NotADirectoryError):
        raise QcadeError(f"cannot write {path}: {path.parent} is not a folder") from None
    except FileNotFoundError:
        return target
    if is_folder:
        raise QcadeError(f"cannot write {path}: it is a folder; choose another name")
    return target


def _temporary_path(target: Path) -> Path:
    # Not too long for file systems, and unique, since several commands may write the same video.
    name = f".{target.name[:40]}.{os.getpid()}-{secrets.token_hex(3)}.tmp"
    return target.with_name(name)


def _palette_graph(height: int, width: int, rate: Fraction) -> Graph:
    # A palette per picture is exact, and does not depend on later pictures.
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
