"""Videos: what names and sizes they have, and when their files appear."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from qcade.types import QcadeError, UInt8Array
from qcade.watch import video_file
from qcade.watch.sizes import Canvas, enlarge
from qcade.watch.video_file import VideoFile, pictures_within

from command import qcade

EXTENSIONS = ["mp4", "webm", "gif"]


def plain(height: int, width: int, grey: int = 200) -> UInt8Array:
    return np.full((height, width, 3), grey, np.uint8)


def noise(count: int, side: int = 32) -> Iterator[UInt8Array]:
    """Pictures that no codec makes small."""
    for seed in range(count):
        yield np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def write(path: Path, pictures: Iterable[UInt8Array], pictures_per_second: float = 20.0) -> None:
    with VideoFile(path, pictures_per_second) as video:
        for picture in pictures:
            video.add(picture)


def decoded(path: Path) -> list[UInt8Array]:
    with open(path, "rb") as file, av.open(file, "r") as container:
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in container.decode(video=0)
        ]


def refusal(path: Path, pictures: Iterable[UInt8Array], rate: float = 20.0) -> str:
    with pytest.raises(QcadeError) as error:
        write(path, pictures, rate)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "catch:lr1/videos/x.mp4",
        "12:30.gif",
        "%d.gif",
        "episode-%03d.mp4",
        "two words.webm",
        "a#b?c=d&e.mp4",
        "ゲーム-é.gif",
        "-y.mp4",
        "concat:a.mp4|b.mp4",
        "pipe:1.mp4",
        "http:x.webm",
        "file:x.gif",
        "tee:[f=mp4]x.mp4",
        "LOUD.MP4",
        "x" * (240 if os.name == "posix" else 80) + ".mp4",
    ],
)
def test_every_name_is_that_of_a_plain_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    if os.name == "nt" and set(name) & set('<>:"|?*'):
        assert "cannot write" in refusal(path, [plain(16, 16)])
        return
    write(path, [plain(16, 16)] * 3)
    assert len(decoded(path)) == 3
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [tmp_path / name]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    for name in ("x.avi", "x", ".mp4", "mp4"):
        assert "is not a video file name" in refusal(tmp_path / name, [])


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_older_video_stays_until_the_new_one_is_whole(
    failure: type[BaseException], extension: str, tmp_path: Path
) -> None:
    path = tmp_path / f"v.{extension}"

    def interrupted() -> Iterator[UInt8Array]:
        yield from noise(5)
        raise failure

    write(path, noise(2))
    before = path.read_bytes()
    with pytest.raises(failure):
        write(path, interrupted())
    assert path.read_bytes() == before
    with VideoFile(path, 20.0) as video:
        for picture in noise(5):
            video.add(picture)
        assert path.read_bytes() == before
    assert len(decoded(path)) == 5
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with VideoFile(path, 20.0) as dark:
        with VideoFile(path, 20.0) as bright:
            for _ in range(40):
                dark.add(plain(32, 32, 50))
                bright.add(plain(32, 32, 200))
        assert {round(float(picture.mean()), -1) for picture in decoded(path)} == {200}
    assert {round(float(picture.mean()), -1) for picture in decoded(path)} == {50}
    assert len(decoded(path)) == 40
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("x")
    assert "it is a folder" in refusal(tmp_path / "folder.mp4", noise(1))
    assert f"{tmp_path / 'file'} is not a folder" in refusal(tmp_path / "file" / "x.mp4", noise(1))
    assert "is not a folder" in refusal(tmp_path / "file" / "deep" / "x.mp4", noise(1))
    assert "cannot write" in refusal(tmp_path / ("x" * 300 + ".mp4"), noise(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    assert "cannot write" in refusal(tmp_path / "x.mp4", noise(1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_full_disk_is_said(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every byte that is written arrives on a device that is full.
    full = open("/dev/full", "wb")  # noqa: SIM115
    monkeypatch.setattr(video_file, "open", lambda *_: full, raising=False)
    path = tmp_path / f"v.{extension}"
    path.write_bytes(b"older")
    problem = refusal(path, noise(30, 128))
    assert f"the disk of {tmp_path} is full" in problem
    assert path.read_bytes() == b"older"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of this kind")
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_disk_that_refuses_in_the_middle_leaves_nothing(extension: str, tmp_path: Path) -> None:
    import resource

    path = tmp_path / f"v.{extension}"
    write(path, noise(1))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        problem = refusal(path, noise(30, 128))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert problem.startswith(f"cannot write {path}")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.gif").symlink_to("real.gif")
    write(tmp_path / "link.gif", noise(2))
    assert (tmp_path / "link.gif").is_symlink()
    assert len(decoded(tmp_path / "real.gif")) == 2


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_video_without_pictures_is_not_written(extension: str, tmp_path: Path) -> None:
    assert "no picture to show" in refusal(tmp_path / f"v.{extension}", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (5, 4), (1, 3_001), (3_001, 1)])
def test_odd_sizes_are_filmed(size: tuple[int, int], extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"v.{extension}"
    write(path, [plain(*size)] * 2)
    height, width = decoded(path)[0].shape[:2]
    assert (height, width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ((0, 0), "0x0 pixels (width x height) cannot be filmed"),
        ((0, 5), "5x0 pixels"),
        ((5, 0), "0x5 pixels"),
        ((20_000, 20_000), "20,000x20,000 pixels (width x height) is too large"),
        ((1, 16_385), "16,385x1 pixels"),
        ((16_386, 2), "2x16,386 pixels"),
        ((6_000, 6_000), "33,554,432 in all"),
    ],
)
def test_impossible_sizes_are_refused(size: tuple[int, int], problem: str, tmp_path: Path) -> None:
    # A picture that takes no memory, however large.
    picture = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (*size, 3))
    for extension in EXTENSIONS:
        assert problem in refusal(tmp_path / f"v.{extension}", [picture])
    with pytest.raises(QcadeError, match="pixels"):
        enlarge(picture)
    assert not list(tmp_path.iterdir())


def test_films_of_other_than_coloured_pictures_are_refused(tmp_path: Path) -> None:
    for picture in (np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)):
        wrong = picture.view()
        assert "pictures of a video must be uint8" in refusal(tmp_path / "v.mp4", [wrong])  # type: ignore[list-item]


def test_pictures_are_enlarged_to_a_width_and_to_even_sides() -> None:
    assert enlarge(plain(210, 160)).shape == (630, 480, 3)
    assert enlarge(plain(210, 160), 320).shape == (420, 320, 3)
    assert enlarge(plain(84, 84)).shape == (504, 504, 3)
    assert enlarge(plain(1, 1)).shape == (480, 480, 3)
    assert enlarge(plain(401, 601)).shape == (402, 602, 3)
    # Enlarged to 480 in width, it would be 4.8 million pixels high.
    assert enlarge(plain(10_000, 1)).shape == (10_000, 2, 3)
    assert enlarge(plain(4_000, 100)).shape == (8_000, 200, 3)
    two = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert enlarge(two, 4)[:, :, 0].tolist() == [[1, 1, 4, 4], [1, 1, 4, 4]]


def test_pictures_of_another_size_are_fitted_into_the_first() -> None:
    canvas = Canvas(8)
    assert canvas.show(plain(8, 8)).shape == (8, 8, 3)
    wide = canvas.show(plain(4, 8))[:, :, 0]
    assert wide.tolist() == [[0] * 8] * 2 + [[200] * 8] * 4 + [[0] * 8] * 2
    tall = canvas.show(plain(64, 32))[:, :, 0]
    assert tall.tolist() == [[0, 0, 200, 200, 200, 200, 0, 0]] * 8
    for size in [(1, 1), (16, 16), (3, 1_000), (9, 9)]:
        assert canvas.show(plain(*size)).shape == (8, 8, 3)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_video_keeps_the_size_of_its_first_picture(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"v.{extension}"
    write(path, [plain(32, 64), plain(64, 64), plain(33, 31), plain(1, 1)])
    pictures = decoded(path)
    assert [picture.shape for picture in pictures] == [(32, 64, 3)] * 4
    assert pictures[1][16, 32, 0] > 150
    assert pictures[1][16, 8, 0] < 50


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_rates_are_bounded_or_refused(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"v.{extension}"
    for rate in (1e-9, 0.3, 1e9, 1e300):
        write(path, [plain(16, 16)] * 2, rate)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        assert "must be a positive number" in refusal(path, [plain(16, 16)], rate)
    assert pictures_within(3, 20.0) == 60
    assert pictures_within(1, 0.1) == 1
    with pytest.raises(QcadeError, match="positive number"):
        pictures_within(1, float("inf"))


class GrowingWindow(gymnasium.Env[Any, Any]):
    """200 actions; renders floats, in a window that becomes wider at every step."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 255, (8, 6), np.uint8)
        self.action_space = spaces.Discrete(200)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros((8, 6), np.uint8), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.zeros((8, 6), np.uint8), 1.0, self.steps == 12, False, {}

    def render(self) -> Any:
        return np.full((40, 40 * self.steps, 3), 0.5)


def growing_window(**settings: Any) -> gymnasium.Env[Any, Any]:
    return GrowingWindow(**settings)


def test_an_environment_with_a_window_and_actions_of_its_own_is_filmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gymnasium.register("GrowingWindow-v0", growing_window)
    try:
        small = "--frames 32 --updates.start-frames 16 --replay.capacity 64 --environments 2"
        words = f"train --env-id GrowingWindow-v0 {small} --compute.threads 1 --out {tmp_path}/run"
        answer = qcade(words, capsys)
        assert answer.code == 0, answer.err
        answer = qcade(f"video {tmp_path}/run --out {tmp_path}/v.mp4", capsys)
        assert answer.code == 0, answer.err
    finally:
        del gymnasium.registry["GrowingWindow-v0"]
    pictures = decoded(tmp_path / "v.mp4")
    assert [picture.shape for picture in pictures] == [(480 + 56, 480, 3)] * 12
    # Twice as wide, it fills half of the height.
    assert np.abs(pictures[1][240, :, 0].astype(int) - 128).max() < 12
    assert pictures[1][40, :, 0].max() < 12
    assert all(is_chosen_seen(picture[480:]) for picture in pictures)


def is_chosen_seen(strip: UInt8Array) -> bool:
    colours = strip.astype(int)
    return bool((colours[:, :, 0] - colours[:, :, 2] > 60).any())
