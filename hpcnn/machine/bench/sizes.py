"""Sizes of messages: parse those of the command line, and format them for people. Pure."""

from __future__ import annotations

import re

from hpcnn.util.errors import bad_value

DEFAULT = "8..64M"
BYTES_PER_NUMBER = 4  # gradients are float32

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_SIZE = re.compile(r"(\d+)([KMG]?)")
_EXPECTED = "SMALLEST..LARGEST in bytes, powers of two of at least 4, as in 8..64M"


def sweep(text: str) -> list[int]:
    """Parse ``A..B``: return the powers of two from A to B, in bytes. Raises UsageError for an invalid text."""
    first, dots, last = text.partition("..")
    low, high = _bytes(first), _bytes(last if dots else first)
    if low is None or high is None or not BYTES_PER_NUMBER <= low <= high:
        raise bad_value("--sizes", text, _EXPECTED)
    return [1 << power for power in range(low.bit_length() - 1, high.bit_length())]


def size_text(size: float) -> str:
    """Format a size for people: 8 B, 1 KiB, 1.13 MiB."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} B"


def _bytes(text: str) -> int | None:
    """Return the bytes of ``64M``, or None for a text that is no power of two."""
    match = _SIZE.fullmatch(text.strip())
    size = int(match[1]) * _UNITS[match[2]] if match else 0
    return size if size.bit_count() == 1 else None
