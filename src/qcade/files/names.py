"""Turning any text into a part of a file name, valid on every system."""

from __future__ import annotations

import re
import unicodedata

MOST_CHARACTERS = 80
MOST_BYTES = 100
"""File systems limit bytes, a letter takes up to four, and a file name has several parts."""
NAMELESS = "unnamed"
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


def file_name_part(text: str) -> str:
    """Turn any text into a part of a file name that is valid on every system and never empty.

    Letters, digits, "-", "_" and "." stay; other characters become "-". The result does not begin
    or end with a dot or dash, has at most 80 characters, and is not the name of a Windows device.
    """
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in normal)
    part = kept.lstrip(".-")[:MOST_CHARACTERS]
    while len(part.encode()) > MOST_BYTES:
        part = part[:-1]
    part = part.rstrip(".-")
    # Windows opens a device for such a name, but not with an underscore before it.
    return f"_{part}" if _DEVICE.fullmatch(part) else part or NAMELESS
