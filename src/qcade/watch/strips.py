"""The strips of text and figures below the pictures of a video."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from qcade.types import UInt8Array

STRIP_HEIGHT = 56
INK, FAINT, BACKGROUND, CHOSEN = (235, 235, 235), (130, 130, 130), (18, 18, 18), (255, 190, 60)
SOFT = (180, 180, 180)
_MARGIN = 8
_BAR_BOTTOM, _LEAST_BAR, _MOST_BAR = 42, 2, 16
# The font draws a crossed box for every character that it lacks.
_BOX = "\N{REPLACEMENT CHARACTER}"
_MOST_NAME_CHARACTERS = 200
_LEAST_LABELLED_COLUMN, _LEAST_NAME_COLUMN, _LEAST_VALUE_COLUMN = 14, 52, 74

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


def caption_strip(width: int, lines: Sequence[str]) -> UInt8Array:
    """Draw two lines of text, the first one brighter; return uint8 [STRIP_HEIGHT, width, 3]."""
    bright, soft = lines
    return np.concatenate((_caption_line(width, bright, INK), _caption_line(width, soft, SOFT)))


def figures_strip(
    width: int,
    text: str,
    q_values: Sequence[float],
    action_meanings: Sequence[str],
    action: int,
) -> UInt8Array:
    """Draw a line of text above a bar for each action's Q-value; the chosen action is bright.

    Returns uint8 [STRIP_HEIGHT, width, 3]. If bars are too narrow for labels, only the chosen
    action has one. A value that is not finite has the lowest bar.
    """
    image = Image.new("RGB", (width, STRIP_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(image)
    font = _font(14)
    draw.text((_MARGIN, 4), _shortened(text, font, width - _MARGIN), fill=INK, font=font)
    if not q_values:
        return np.asarray(image)
    column = max(1, width - _MARGIN) / len(q_values)
    has_labels = column >= _LEAST_LABELLED_COLUMN
    heights = _bar_heights(q_values)
    # The bar of the chosen action is drawn last, so that no other bar covers it.
    for index in sorted(range(len(q_values)), key=lambda index: index == action):
        is_chosen = index == action
        left = _MARGIN + index * column
        colour = CHOSEN if is_chosen else FAINT
        bar = max(column - min(6, column / 2), 2 if is_chosen else 0)
        draw.rectangle((left, _BAR_BOTTOM - heights[index], left + bar, _BAR_BOTTOM), fill=colour)
        if not has_labels and not is_chosen:
            continue
        name, value = _name(action_meanings, index), q_values[index]
        if has_labels:
            label = _column_label(name, value, column)
        else:
            label = _label(name, value, width - _MARGIN)
            left = max(0, min(left, width - _MARGIN - _font(9).getlength(label)))
        draw.text((left, _BAR_BOTTOM + 1), label, fill=colour, font=_font(9))
    return np.asarray(image)


def _name(action_meanings: Sequence[str], index: int) -> str:
    """Return the name of an action; its number if there is no name that the font can draw."""
    name = action_meanings[index] if index < len(action_meanings) else ""
    is_readable = name.strip() and _BOX not in _one_line(name[:_MOST_NAME_CHARACTERS])
    return name[:_MOST_NAME_CHARACTERS] if is_readable else str(index)


def _bar_heights(q_values: Sequence[float]) -> list[float]:
    finite = [value for value in q_values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    # Halved, so that the difference of the largest floats does not overflow.
    span = max(high / 2 - low / 2, 5e-7)
    return [
        _LEAST_BAR + (_MOST_BAR - _LEAST_BAR) * ((value / 2 - low / 2) / span)
        if math.isfinite(value)
        else _LEAST_BAR
        for value in q_values
    ]


def _column_label(name: str, value: float, column: float) -> str:
    if column > _LEAST_VALUE_COLUMN:
        return _label(name, value, column - 2)
    if column > _LEAST_NAME_COLUMN:
        return _shortened(name, _font(9), column - 2)
    return _one_line(name)[: max(1, int(column / 7))]


def _label(name: str, value: float, width: float) -> str:
    """Return the name and value of an action; the name is shortened to fit."""
    font = _font(9)
    figure = f" {value:.2f}" if abs(value) < 1e5 or not math.isfinite(value) else f" {value:.2g}"
    return _shortened(name, font, width - font.getlength(figure)) + figure


@lru_cache(maxsize=64)
def _caption_line(width: int, text: str, colour: tuple[int, int, int]) -> UInt8Array:
    image = Image.new("RGB", (width, STRIP_HEIGHT // 2), BACKGROUND)
    room = width - 2 * _MARGIN
    text = _one_line(text[: max(0, room)])
    size = next((s for s in (17, 15, 13, 11) if _font(s).getlength(text) <= room), 9)
    middle = (_MARGIN, STRIP_HEIGHT // 4)
    text = _shortened(text, _font(size), room)
    ImageDraw.Draw(image).text(middle, text, fill=colour, font=_font(size), anchor="lm")
    return np.asarray(image)


def _shortened(text: str, font: Font, width: float) -> str:
    """Return text as one line of at most `width` pixels, with an ellipsis if it was cut."""
    # Cut first, since measuring a very long text takes seconds; a character has at least a pixel.
    text = _one_line(text[: max(0, int(width))])
    if font.getlength(text) <= width:
        return text
    fitting = bisect_right(
        range(len(text)), width, key=lambda length: font.getlength(text[:length] + "…")
    )
    return text[: fitting - 1].rstrip() + "…" if fitting else ""


def _one_line(text: str) -> str:
    """Return text without line breaks; characters that the font lacks are simplified or boxes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_drawable(char) for char in text)


@lru_cache(maxsize=1024)
def _drawable(char: str) -> str:
    if char.isspace():
        return " "
    plain = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    return next((form for form in (char, plain) if _has_glyphs(form)), _BOX)


def _has_glyphs(text: str) -> bool:
    font = _font(14)
    box = bytes(font.getmask(_BOX))
    return text.isprintable() and all(bytes(font.getmask(char)) != box for char in text)


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)
