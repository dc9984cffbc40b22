"""A few of many values, evenly chosen: for ticks, lines and rows that would hide each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def thinned(values: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` of ``values`` (2 or more), evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(number * step)] for number in range(most)]
