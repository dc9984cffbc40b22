"""Format numbers and counts for people. Must not import any other room."""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Sequence

# How what a stream or a file cannot encode is written: a byte of a path as it is, anything else as text.
BYTES_OR_ESCAPES = "hpcnn.bytes_or_escapes"
# What a terminal would obey, or what turns the order of the letters around; newlines and tabs are none of it.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = {"–": "-", "—": "-", "…": "...", "×": "x", "·": "."}


def visible(text: str) -> str:
    """Return a text of a record, a log or a name with everything in it that would steer a terminal written out."""
    return _STEERING.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), text)


def in_one_line(text: str) -> str:
    """Return ``visible`` text for a cell: a line of its own would take the next cells along."""
    return visible(text).replace("\n", "\\n").replace("\t", " ")


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path relative to the current directory, if it is below it."""
    text, here = os.fspath(path), os.getcwd()  # noqa: PTH109  # pathlib would be loaded for `hpcnn --help`
    return visible("." if text == here else text.removeprefix(f"{here}/"))


def printable(stream: object) -> None:
    """Let a stream write any text: in a locale that lacks a letter, something else stands for it."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=BYTES_OR_ESCAPES)


def _bytes_or_escapes(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    if all("\udc80" <= sign <= "\udcff" for sign in part) and error.encoding.lower().replace("-", "") == "utf8":
        return bytes(ord(sign) - 0xDC00 for sign in part), error.end
    escaped = (_PLAIN.get(sign) or sign.encode("unicode_escape", "surrogatepass").decode() for sign in part)
    return "".join(escaped), error.end


codecs.register_error(BYTES_OR_ESCAPES, _bytes_or_escapes)


def significant(value: float) -> str:
    """Return ``value`` with three significant digits, from 100 on as a whole number: 0.0321, 3.21, 1,234."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def first_few(values: Sequence[object], most: int = 8) -> str:
    """Return the first few values with commas, and "..." for the rest: 1, 2, 3, ..."""
    return ", ".join([*map(str, values[:most]), *(["..."] if len(values) > most else [])])


def counted(number: int, noun: str) -> str:
    """Return "1 run", "2 runs", "1,000 runs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
