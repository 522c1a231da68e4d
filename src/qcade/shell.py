"""Commands that can be copied into a shell, and names that are safe to print in a terminal."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_ESCAPES = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def command_line(*words: str | Path) -> str:
    """Quote a `qcade` command for this system's shell; a path never looks like an option."""
    return quoted("qcade", *words)


def quoted(*words: str | Path) -> str:
    """Quote the words of any command, as `command_line` does."""
    texts = [argument(word) for word in words]
    if sys.platform == "win32":
        return subprocess.list2cmdline(texts)
    return " ".join(map(_quoted_word, texts))


def argument(word: str | Path) -> str:
    """A word as a command-line argument; a path that begins with a dash gets `./` before it."""
    text = str(word)
    return f"./{text}" if isinstance(word, Path) and text.startswith("-") else text


def typed_command(argv: Sequence[str]) -> str:
    """The command line that started this process, from `sys.argv`, ready to be copied."""
    program, *words = argv or [""]
    name = Path(program).name
    # The name if started by `python -m qcade`.
    return quoted("qcade" if name == "__main__.py" else name, *words)


def shown(text: str | Path) -> str:
    """A name on one line, with control characters escaped, which could control a terminal."""
    return "".join(map(_shown_character, str(text)))


def shown_lines(text: str) -> str:
    """As `shown`, but keep line breaks."""
    return "\n".join(map(shown, text.split("\n")))


def _shown_character(character: str) -> str:
    if character.isprintable() or character == " ":
        return character
    return _ESCAPES.get(character) or _by_code(character)


def _by_code(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _quoted_word(text: str) -> str:
    if all(character.isprintable() for character in text):
        return shlex.quote(text)
    # The only quotes that can hold control characters and bytes that are not valid text.
    return "$'" + "".join(map(_escaped_for_shell, text)) + "'"


def _escaped_for_shell(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        # Python's representation of a byte in a file name that is not valid text.
        return f"\\x{ord(character) - 0xDC00:02x}"
    return _ESCAPES.get(character) or "".join(f"\\x{byte:02x}" for byte in character.encode())


def duration(seconds: float | None) -> str:
    """Seconds as h:mm:ss or m:ss; a question mark for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
