"""Fit the columns of a table into the width of a terminal, without ever breaking a number. Pure.

In this order: headings break at spaces, columns of text fold, and what is still too wide goes on in a block below,
which repeats the leading columns. Must not import any other room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# A column of text is folded to no less than this, and its words are whole up to that length.
_NARROWEST_TEXT, _LONGEST_WORD = 14, 40
_WIDE_GAP, _GAP = 3, 2


@dataclass(frozen=True)
class Content:
    """The texts of a column. folds: its cells may be broken at spaces. leads: it comes first in every block.

    spare: it is left out where the columns take several blocks.
    """

    heading: str
    cells: Sequence[str]
    folds: bool = False
    leads: bool = False
    spare: bool = False


@dataclass(frozen=True)
class Placed:
    """A column in a block: its number, its heading (with newlines where it is broken) and its width."""

    number: int
    heading: str
    width: int


@dataclass(frozen=True)
class Block:
    """The columns that stand beside each other, with ``gap`` spaces between two."""

    columns: list[Placed]
    gap: int


def fit(contents: Sequence[Content], width: int, length: Callable[[str], int] = len) -> list[Block]:
    """Return the blocks in which the columns fit into ``width``. length: cells of the terminal that a text takes.

    A block is wider than ``width`` only where the leading columns and one other do not fit.
    """
    least = [_least(content, length) for content in contents]
    wanted = [max(map(length, [content.heading, *content.cells])) for content in contents]
    everything = list(range(len(contents)))
    if _total(wanted, everything, _WIDE_GAP) <= width:
        placed = [Placed(number, contents[number].heading, wanted[number]) for number in everything]
        return [Block(placed, _WIDE_GAP)]
    return [_block(contents, numbers, least, wanted, width, length) for numbers in _parts(contents, least, width)]


def _least(content: Content, length: Callable[[str], int]) -> int:
    """Return the smallest width of a column: its longest word of the heading, and its cells, or the least of texts."""
    words = max((length(word) for word in content.heading.split(" ")), default=0)
    cells = max(map(length, content.cells), default=0)
    if content.folds:
        in_cells = max((length(word) for cell in content.cells for word in cell.split(" ")), default=0)
        cells = min(cells, max(_NARROWEST_TEXT, min(in_cells, _LONGEST_WORD)))
    return max(words, cells, 1)


def _total(widths: Sequence[int], numbers: Sequence[int], gap: int) -> int:
    return sum(widths[number] for number in numbers) + gap * max(len(numbers) - 1, 0)


def _parts(contents: Sequence[Content], least: Sequence[int], width: int) -> list[list[int]]:
    """Return the numbers of the columns of each block."""
    every = range(len(contents))
    if _total(least, every, _GAP) <= width:
        return [list(every)]
    leading = [number for number in every if contents[number].leads or number == 0]
    parts, current = [], list(leading)
    for number in every:
        if number in leading or contents[number].spare:
            continue
        if len(current) > len(leading) and _total(least, [*current, number], _GAP) > width:
            parts.append(current)
            current = list(leading)
        current.append(number)
    return [*parts, current]


def _block(
    contents: Sequence[Content],
    numbers: Sequence[int],
    least: Sequence[int],
    wanted: Sequence[int],
    width: int,
    length: Callable[[str], int],
) -> Block:
    """Return a block; what is left of the width goes to columns of text first, then to headings."""
    widths = {number: least[number] for number in numbers}
    gap = _WIDE_GAP if _total(least, numbers, _WIDE_GAP) <= width else _GAP
    left = width - _total(least, numbers, gap)
    for number in sorted(numbers, key=lambda number: (not contents[number].folds, wanted[number])):
        waiting = sum(contents[other].folds and widths[other] < wanted[other] for other in numbers)
        share = left // waiting if contents[number].folds and waiting else left
        missing = wanted[number] - widths[number]
        given = min(missing, share) if contents[number].folds else missing if missing <= left else 0
        given = max(given, 0)
        widths[number] += given
        left -= given
    placed = [Placed(n, _broken(contents[n].heading, widths[n], length), widths[n]) for n in numbers]
    return Block(placed, gap)


def _broken(heading: str, width: int, length: Callable[[str], int]) -> str:
    """Return a heading with newlines in place of spaces, so that its lines fit."""
    lines: list[str] = []
    for word in heading.split(" "):
        if lines and length(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
