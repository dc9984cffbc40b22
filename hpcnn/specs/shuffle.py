"""The words of ``--shuffle``: ``global``, ``block:N``, ``node:N`` and ``none``. Pure."""

from __future__ import annotations

from hpcnn.util.errors import bad_value

EXPECTED = "global, block:N with N samples a block, node:N with blocks of N on each node, or none"


def check_shuffle(shuffle: str, name: str = "--shuffle") -> None:
    """Raise UsageError for anything but the four."""
    if shuffle not in ("global", "none"):
        block_size(shuffle, name)


def is_by_node(shuffle: str) -> bool:
    """Return whether each node has blocks of its own."""
    return shuffle.startswith("node:")


def block_size(shuffle: str, name: str = "--shuffle") -> int:
    """Return N of ``block:N`` and ``node:N``. Raises UsageError for another form."""
    word, _, number = shuffle.partition(":")
    if word not in ("block", "node") or not number.isdecimal() or int(number) < 1:
        raise bad_value(name, shuffle, EXPECTED)
    return int(number)
