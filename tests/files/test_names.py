"""Any text becomes a part of a file name that works on every system."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcade.files.names import file_name_part

DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in "0123456789")}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("double-dqn", "double-dqn"),
        ("ms_pacman", "ms_pacman"),
        ("v1.5", "v1.5"),
        ("../../evil", "evil"),
        ("/etc/passwd", "etc-passwd"),
        ("C:\\windows", "C--windows"),
        ("two words", "two-words"),
        ("größe 漢字", "größe-漢字"),
        ("e\u0301", "é"),
        (".hidden", "hidden"),
        ("--out", "out"),
        ("ends. ", "ends"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("\0\n\x1b[31m", "31m"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("Com7", "_Com7"),
        ("com¹", "_com¹"),
        ("console", "console"),
        ("a" * 300, "a" * 80),
    ],
)
def test_what_becomes_of_a_text(text: str, part: str) -> None:
    assert file_name_part(text) == part


@settings(max_examples=50)
@given(st.text(max_size=120))
def test_no_text_leads_out_of_a_folder_or_is_refused_by_a_file_system(text: str) -> None:
    part = file_name_part(text)
    assert Path("runs", part).parts == ("runs", part)
    assert 0 < len(part) <= 81
    assert len(part.encode()) <= 101
    assert part[0] not in ".-"
    assert part[-1] not in ". "
    assert part.partition(".")[0].lower() not in DEVICES
    assert not set(part) & {*'<>:"/\\|?*', *map(chr, range(32))}
    # Once is enough.
    assert file_name_part(part) == part


@settings(max_examples=50)
@given(st.text(string.ascii_letters + string.digits + "_", min_size=4, max_size=80))
def test_plain_names_stay_as_they_are(text: str) -> None:
    if text.lower() not in DEVICES:
        assert file_name_part(text) == text
