"""The rule for keeping a setting: it must be faster by more than the noise. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# The noise: runs of one unchanged job differ by about this share.
MINIMUM_GAIN = 0.02

RULE = f"its median more than {MINIMUM_GAIN:.0%} above, and each of its trials above, the median without it"


def is_faster(candidate: Sequence[float], base: Sequence[float]) -> bool:
    """Return whether ``candidate`` is faster than ``base`` by ``RULE``: images/s of repeats, at least one of each."""
    middle = statistics.median(base)
    return statistics.median(candidate) > (1 + MINIMUM_GAIN) * middle and min(candidate) > middle


def is_slower(candidate: Sequence[float], base: Sequence[float]) -> bool:
    """Return whether one trial of ``candidate`` was slower than all of ``base``, so that more trials are useless."""
    return min(candidate) < min(base)


@dataclass(frozen=True)
class Ratio:
    """The speed relative to the base: of the medians, and the range over pairs of neighbouring trials."""

    median: float
    low: float
    high: float


def ratio(candidate: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the ratio of ``candidate`` to ``base``, whose repeats alternated."""
    pairs = [one / other for one, other in zip(candidate, base, strict=False)]
    return Ratio(statistics.median(candidate) / statistics.median(base), min(pairs), max(pairs))
