"""Texts from anywhere as parts of file names, on every system."""

from __future__ import annotations

import re
import unicodedata

MOST_CHARACTERS = 80
MOST_BYTES = 100
"""File systems count bytes, of which a letter may take four; a name is made of a few parts."""
NAMELESS = "unnamed"
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


def file_name_part(text: str) -> str:
    """Turn any text into a part of a file name that is safe everywhere, and never empty.

    Letters, digits, "-", "_" and "." stay, whatever else becomes "-". It does not begin with a dot
    or dash, nor end with a dot, has at most 80 characters, and is no name of a Windows device.
    """
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in normal)
    part = kept.lstrip(".-")[:MOST_CHARACTERS]
    while len(part.encode()) > MOST_BYTES:
        part = part[:-1]
    part = part.rstrip(".-")
    # The underscore keeps what is left of it from being a device, which has a meaning of its own.
    return f"_{part}" if _DEVICE.fullmatch(part) else part or NAMELESS
