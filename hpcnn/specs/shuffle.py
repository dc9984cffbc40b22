"""The words of ``--shuffle``: ``global``, ``block:N`` and ``none``. Pure."""

from __future__ import annotations

from hpcnn.util.errors import bad_value

EXPECTED = "global, block:N with N samples a block, or none"


def check_shuffle(shuffle: str, name: str = "--shuffle") -> None:
    """Raise UsageError for anything but the three."""
    if shuffle not in ("global", "none"):
        block_size(shuffle, name)


def block_size(shuffle: str, name: str = "--shuffle") -> int:
    """Return N of ``block:N``. Raises UsageError for another form."""
    word, _, number = shuffle.partition(":")
    if word != "block" or not number.isdecimal() or int(number) < 1:
        raise bad_value(name, shuffle, EXPECTED)
    return int(number)
