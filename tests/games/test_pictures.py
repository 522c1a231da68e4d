"""What environments render, turned into pictures of a film or refused in one sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from qcade.games.pictures import as_picture
from qcade.types import QcadeError, UInt8Array

COLOURED = np.random.default_rng(1).integers(0, 256, (4, 5, 3), dtype=np.uint8)
GREY = COLOURED[:, :, 0]
GREY_AS_COLOURED = np.stack((GREY, GREY, GREY), axis=2)
OPAQUE = np.full((4, 5, 1), 255, np.uint8)


def test_a_picture_of_the_right_kind_is_not_copied() -> None:
    assert as_picture(COLOURED, "Some-v0") is COLOURED


@pytest.mark.parametrize(
    ("rendered", "picture"),
    [
        (GREY, GREY_AS_COLOURED),
        (GREY[:, :, None], GREY_AS_COLOURED),
        (np.concatenate((COLOURED, OPAQUE), axis=2), COLOURED),
        (COLOURED / 255, COLOURED),
        (np.float32(COLOURED) / np.float32(255), COLOURED),
        (GREY / 255, GREY_AS_COLOURED),
        (COLOURED.astype(np.int64), COLOURED),
        (COLOURED.astype(">u2"), COLOURED),
        (COLOURED.tolist(), COLOURED),
        ([COLOURED // 2, COLOURED], COLOURED),
        ([GREY[:2], GREY], GREY_AS_COLOURED),
        ([COLOURED / 255], COLOURED),
        (torch.tensor(COLOURED), COLOURED),
        (Image.fromarray(COLOURED), COLOURED),
        (Image.fromarray(GREY).convert("P"), GREY_AS_COLOURED),
    ],
)
def test_other_kinds_of_pictures_are_converted(rendered: object, picture: UInt8Array) -> None:
    converted = as_picture(rendered, "Some-v0")
    assert converted.dtype == np.uint8
    np.testing.assert_array_equal(converted, picture)


def test_floats_are_rounded_and_booleans_are_black_and_white() -> None:
    # The last two are what arithmetic of floats makes of 0 and 1.
    floats = np.array([[0.0, 0.5, 0.1, 1.0, -1e-9, 1.0000001]])
    assert as_picture(floats, "Some-v0")[0, :, 1].tolist() == [0, 128, 26, 255, 0, 255]
    assert as_picture(np.array([[True, False]]), "Some-v0").tolist() == [[[255] * 3, [0] * 3]]
    assert as_picture(np.array([[0.5]], np.float16), "Some-v0").tolist() == [[[128] * 3]]


@pytest.mark.parametrize(
    ("rendered", "described"),
    [
        (None, "returned None,"),
        ("+---+", "returned text,"),
        ([], "returned an empty list,"),
        ((), "returned an empty tuple,"),
        (7, "an object of type int that is not a picture"),
        ({"rgb": COLOURED}, "type dict that is not a picture"),
        ([[1, 2], [3]], "type list that is not a picture"),
        ([None], "type list that is not a picture"),
        ((COLOURED, COLOURED), "a tuple that holds an array of uint8, shape [2, 4, 5, 3]"),
        (COLOURED[None], "uint8, shape [1, 4, 5, 3], values from"),
        (COLOURED.transpose(2, 0, 1), "uint8, shape [3, 4, 5], values from"),
        (np.zeros((4, 5, 2), np.uint8), "uint8, shape [4, 5, 2], values from 0 to 0"),
        (np.zeros(3, np.uint8), "shape [3], values"),
        (np.zeros((0, 5, 3), np.uint8), "shape [0, 5, 3],"),
        (np.zeros((4, 0)), "shape [4, 0],"),
        (np.array([[0.5, np.nan]]), "float64, shape [1, 2], with NaN among its values"),
        (np.array([[0.5, np.inf]]), "values from 0.5 to inf"),
        (np.array([[0, 255]], np.float32), "float32, shape [1, 2], values from 0 to 255"),
        (np.array([[0, 60000]], np.float16), "values from 0 to 60000"),
        (np.array([[-0.5, 1]]), "values from -0.5 to 1"),
        (np.array([[0, 256]], np.int64), "int64, shape [1, 2], values from 0 to 256"),
        (np.array([[-1, 0]], np.int8), "int8, shape [1, 2], values from -1 to 0"),
        (np.array([[1j]]), "complex128"),
        (np.array([["a"]]), "shape [1, 1],"),
        (np.zeros((2, 2), object), "object, shape [2, 2],"),
    ],
)
def test_what_is_not_a_picture_is_refused_in_one_sentence(rendered: object, described: str) -> None:
    with pytest.raises(QcadeError) as refusal:
        as_picture(rendered, "Some-v0")
    text = str(refusal.value)
    assert text.startswith("Some-v0: render() returned ")
    assert described in text
    assert "whole numbers from 0 to 255" in text
    assert "\n" not in text
