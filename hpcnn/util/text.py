"""Format numbers and counts for people. Must not import any other room."""

from __future__ import annotations

from collections.abc import Sequence


def significant(value: float) -> str:
    """Return ``value`` with three significant digits, from 100 on as a whole number: 0.0321, 3.21, 1,234."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def first_few(values: Sequence[object], most: int = 8) -> str:
    """Return the first few values with commas, and "..." for the rest: 1, 2, 3, ..."""
    return ", ".join([*map(str, values[:most]), *(["..."] if len(values) > most else [])])


def counted(number: int, noun: str) -> str:
    """Return "1 run", "2 runs", "1,000 runs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
