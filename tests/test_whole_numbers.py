"""Numbers as people type them."""

from __future__ import annotations

import pytest

from qcade.cli.whole_numbers import whole_number, with_plain_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("200k", 200_000),
        ("200K", 200_000),
        ("10M", 10_000_000),
        ("10m", 10_000_000),
        ("2G", 2_000_000_000),
        ("2b", 2_000_000_000),
        ("1.5M", 1_500_000),
        ("0.001k", 1),
        ("1e6", 1_000_000),
        ("2.5E3", 2_500),
        ("1500e-2", 15),
        ("5.00", 5),
        ("1_000_000", 1_000_000),
        ("10,000,000", 10_000_000),
        ("-3", -3),
        ("+3k", 3_000),
        ("-0", 0),
        ("0e999999999", 0),
        (" 7 ", 7),
        ("1" + "0" * 40, 10**40),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_whole_numbers_are_read_exactly(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1.5", "it has a fraction"),
        ("1e-3", "it has a fraction"),
        ("0.0001k", "it has a fraction"),
        ("1e-999999999", "it has a fraction"),
        # A decimal comma, not thousands.
        ("1,5", "is not a whole number"),
        ("1,0000", "is not a whole number"),
        ("1__0", "is not a whole number"),
        ("1.", "is not a whole number"),
        (".5k", "is not a whole number"),
        ("1e", "is not a whole number"),
        ("k", "is not a whole number"),
        ("10 M", "is not a whole number"),
        ("1kk", "is not a whole number"),
        ("0x10", "is not a whole number"),
        ("inf", "is not a whole number"),
        ("nan", "is not a whole number"),
        ("٣", "is not a whole number"),
        ("", "is not a whole number"),
        ("1e999999999", "is too large"),
        ("1e9999999999999", "is not a whole number"),
        ("9" * 4_001, "is too large"),
    ],
)
def test_what_is_no_whole_number_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        whole_number(text)


def test_frame_numbers_may_stand_where_names_may() -> None:
    words = ("newest", "best", "1.6k", "000000001600", "nothing")
    plain = ["newest", "best", "1600", "1600", "nothing"]
    assert [with_plain_number(word) for word in words] == plain
