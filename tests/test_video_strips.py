"""The strips below the pictures of a video: bars, labels and text of any kind and number."""

from __future__ import annotations

import numpy as np
import pytest

from qcade.types import UInt8Array
from qcade.watch.strips import BACKGROUND, CHOSEN, caption_strip, figures_strip

NAMES = ["NOOP", "FIRE", "RIGHT", "LEFT"]


def is_coloured(strip: UInt8Array, colour: tuple[int, int, int]) -> UInt8Array:
    """Where a strip has a colour: bool [height, width]."""
    return np.asarray((strip == colour).all(axis=2))


def test_bars_are_as_high_as_their_values() -> None:
    strip = figures_strip(488, "text", [1.0, 2.0, 1.5, 1.0], NAMES, 1)
    assert strip.shape == (56, 488, 3)
    # Four columns of 120 pixels; a bar ends in row 42 and is 2 to 16 pixels high.
    heights = [int((strip[20:43, x] != BACKGROUND).any(axis=1).sum()) - 1 for x in (10, 130, 250)]
    assert heights == [2, 16, 9]
    chosen = np.flatnonzero(is_coloured(strip, CHOSEN)[30])
    assert (chosen[0], chosen[-1]) == (128, 242)


@pytest.mark.parametrize("actions", [1, 4, 18, 39, 78, 79, 300, 2_000, 10_000])
def test_the_chosen_action_is_seen_among_any_number(actions: int) -> None:
    values = [0.5] * actions
    for action in {0, actions // 2, actions - 1}:
        strip = figures_strip(480, "text", values, ["JUMP"] * actions, action)
        chosen = is_coloured(strip, CHOSEN)
        bar = chosen[40:43].any(axis=0)
        assert bar.sum() >= min(3, 480 - 8 - int(action * 472 / actions))
        assert abs(int(np.flatnonzero(bar)[0]) - (8 + action * 472 / actions)) <= 1
        label = strip[44:].astype(int)
        assert (label[:, :, 0] - label[:, :, 2] > 60).sum() >= 20, "the chosen one has no label"


def test_every_value_stays_inside_of_its_strip() -> None:
    nan, inf = float("nan"), float("inf")
    for values in (
        [nan, 1.0, 2.0, inf],
        [nan] * 4,
        [-inf, 3e38, -3e38, 0.0],
        [1e308, -1e308, 0, 0],
    ):
        for action in range(4):
            strip = figures_strip(480, "text", values, NAMES, action)
            rows = np.flatnonzero(is_coloured(strip, CHOSEN)[:43].any(axis=1))
            lowest = not np.isfinite(values[action]) or values[action] == min(values)
            assert rows[0] == 40 if lowest else 26 <= rows[0] <= 40
    different = {
        figures_strip(480, "", [value, 0.0], NAMES[:2], 0).tobytes() for value in (nan, inf, -inf)
    }
    assert len(different) == 3, "labels tell which value it is"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "two\nlines",
        "a\x00b\x1b[1m\ud800\u202e",
        "日本語 Ж é 😀",
        "long " * 100,
        "w" * 1_000_000,
    ],
)
def test_any_text_is_drawn_inside_of_its_strip(text: str) -> None:
    for width in (1, 20, 480):
        assert caption_strip(width, [text, text]).shape == (56, width, 3)
        for actions in (0, 1, 6, 18, 60):
            values = [1.0] * actions
            strip = figures_strip(width, text, values, [text] * actions, 0)
            assert strip.shape == (56, width, 3)
    # The line of text and the bars do not touch, and text ends before the right edge.
    strip = figures_strip(480, text, [1.0] * 6, [text] * 6, 0)
    assert (strip[24:38] == BACKGROUND).all()
    assert (strip[:, 479] == BACKGROUND).all()
    assert (caption_strip(480, [text, text])[:, 472:] == BACKGROUND).all()


def test_long_labels_do_not_run_into_the_next_one() -> None:
    short = figures_strip(480, "", [1.0] * 6, ["a"] * 6, 5)
    long = figures_strip(480, "", [1.0] * 6, ["DOWNRIGHTFIRE " * 9, *["a"] * 5], 5)
    second = 8 + 472 // 6
    np.testing.assert_array_equal(long[:, second:], short[:, second:])
    assert (long[43:, 60:second] != BACKGROUND).any()


def test_names_that_the_font_cannot_draw_are_numbers() -> None:
    japanese = figures_strip(480, "", [1.0, 2.0], ["左", "右"], 0)
    np.testing.assert_array_equal(japanese, figures_strip(480, "", [1.0, 2.0], ["0", "1"], 0))
    # Where an environment names too few actions, too.
    np.testing.assert_array_equal(japanese, figures_strip(480, "", [1.0, 2.0], ["0"], 0))
    accents = caption_strip(480, ["Pokémon", "Über"])
    np.testing.assert_array_equal(accents, caption_strip(480, ["Pokemon", "Uber"]))
