"""JSON from strangers is read strictly and refused in sentences; what is written is never NaN."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from qcade.files.json_text import json_text, parse_json, parse_json_object
from qcade.files.whole import read_json, write_json
from qcade.types import JSON, QcadeError, RunFailed


def refusal(content: bytes) -> str:
    with pytest.raises(QcadeError) as caught:
        parse_json(content, "here.json")
    text = str(caught.value)
    assert text.startswith("here.json ")
    assert "codec" not in text
    return text


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
@pytest.mark.parametrize("data", [{"größe": ["漢", 1.5, None, True]}, [1], "é", 7])
def test_every_encoding_of_unicode_is_read(encoding: str, data: JSON) -> None:
    assert parse_json(json.dumps(data, ensure_ascii=False).encode(encoding), "x") == data


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "here.json is empty"),
        (b" \r\n\t", "here.json is empty"),
        (b"\xef\xbb\xbf", "here.json is empty"),
        (b"\0\0\0\0\0", "zero bytes"),
        (b"\xff\xfe\x00", "is not text"),
        (b"caf\xe9", "is not text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not text"),
        # Numbers that JSON does not have, or that Python cannot hold.
        (b'{"a": NaN}', "has the number NaN"),
        (b"[Infinity]", "has the number Infinity"),
        (b"[-Infinity]", "has the number -Infinity"),
        (b"[1e400]", "has the number 1e400, which is too large"),
        (b"[-1e999999]", "has the number -1e999999, which is too large"),
        (b"[" + b"9" * 5_000 + b"]", "thousands of digits"),
        (b"[1." + b"0" * 5_000 + b"e999]", "too large"),
        # Two meanings.
        (b'{"a": 1, "b": 2, "a": 3}', 'gives "a" twice'),
        (b'[{"x": {"\\u0061": 1, "a": 1}}]', 'gives "a" twice'),
        # Depth.
        (b"[" * 100_000, "nested deeper than 50"),
        (b'{"a":' * 100_000, "nested deeper than 50"),
        (b"[" * 51 + b"]" * 51, "nested deeper than 50"),
        (b'{"a":' * 51 + b"1" + b"}" * 51, "nested deeper than 50"),
        # Slips of the pen.
        (b'{\n "a": 1,\n}', "comma"),
        (b"[1, 2, ]", "must be removed"),
        (b'{\n "a": 1\n "b"}', "line 3, column 2: a comma, or the closing bracket"),
        (b"{'a': 1}", "column 2: a name in double quotes"),
        (b'{"a" 1}', "column 6: a colon is expected"),
        (b'{"a": 1 "b": 2}', "column 9: a comma, or the closing bracket"),
        (b"[1, 2", "a comma, or the closing bracket"),
        (b'{"a": tru}', "column 7: a value is expected"),
        (b'{"a": "b', "no closing quotation mark"),
        (b'{"a": "b\n"}', "line break or control character"),
        (b'{"a": "C:\\games"}', "an unknown escape sequence"),
        (b'{"a": "\\u12"}', "four hexadecimal digits"),
        (b"{} {}", "column 4: the JSON ends before this"),
        (b"# a comment\n{}", "line 1, column 1: a value is expected"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(content: bytes, sentence: str) -> None:
    assert sentence in refusal(content)


def test_depth_is_not_confused_with_length_or_with_brackets_in_texts() -> None:
    for data in ([[1]] * 1_000, ["[[[[" * 100], [{"a": i} for i in range(200)]):
        assert parse_json(json.dumps(data).encode(), "x") == data
    deep = b"[" * 50 + b"]" * 50
    assert json.dumps(parse_json(deep, "x")).encode() == deep


def test_what_is_said_is_short_however_long_the_text_is() -> None:
    assert len(refusal(b'{"%s": 1, "%s": 2}' % ((b"a" * 10_000,) * 2))) < 200
    assert len(refusal(b"[1%s]" % (b"0" * 4_000 + b".5"))) < 200


def test_an_object_is_asked_for_where_one_belongs() -> None:
    assert parse_json_object(b'{"a": 1}', "x") == {"a": 1}
    for content in (b"[]", b"1", b"null", b'"a"'):
        with pytest.raises(QcadeError, match="x does not hold a JSON object"):
            parse_json_object(content, "x")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"a": {"b": [1.0, math.nan]}}, r"a\.b\[1\] is nan"),
        ({"score": math.inf}, "score is inf"),
        ([-math.inf], r"\[0\] is -inf"),
        (math.nan, "it is nan"),
        ({"seed": 10**5_000}, "seed has thousands of digits"),
    ],
)
def test_what_json_cannot_hold_is_not_written(data: JSON, field: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(RunFailed, match=f"result.json cannot be written as JSON: {field}"):
        write_json(path, data)
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_what_older_versions_wrote(tmp_path: Path) -> None:
    data: JSON = {"name": "größe", "figures": [1, 2.5, 1e-300, 10**40], "none": None, "d": {}}
    assert json_text(data, "x") == json.dumps(data)
    write_json(tmp_path / "a.json", data)
    assert (tmp_path / "a.json").read_text() == json.dumps(data, indent=2) + "\n"
    assert read_json(tmp_path / "a.json") == data


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(QcadeError, match=r"a\.json is missing"):
        read_json(tmp_path / "a.json")
    with pytest.raises(QcadeError, match="cannot be read"):
        read_json(tmp_path)
    (tmp_path / "a.json").touch()
    with pytest.raises(QcadeError, match=r"a\.json is empty"):
        read_json(tmp_path / "a.json")
