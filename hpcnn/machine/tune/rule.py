"""When a setting is kept: only where it is faster by more than the noise. Pure: images/s in, a verdict out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Runs of one unchanged job differ by about so much; a smaller gain would not be worth a line in a profile.
MINIMUM_GAIN = 0.02

RULE = f"its median more than {MINIMUM_GAIN:.0%} above, and each of its trials above, the median without it"


def is_faster(candidate: Sequence[float], base: Sequence[float]) -> bool:
    """Return whether ``candidate`` is kept: see ``RULE``. Images/s of repeats, at least one of each."""
    middle = statistics.median(base)
    return statistics.median(candidate) > (1 + MINIMUM_GAIN) * middle and min(candidate) > middle


def is_hopeless(candidate: Sequence[float], base: Sequence[float]) -> bool:
    """Return whether one trial of ``candidate`` was below all of ``base``: no more trials are spent on it."""
    return min(candidate) < min(base)


@dataclass(frozen=True)
class Ratio:
    """How many times faster: of the medians, and the range over the repeats, each with the base beside it."""

    median: float
    low: float
    high: float


def ratio(candidate: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the ratio of ``candidate`` to ``base``, whose repeats were taken in turn."""
    pairs = [one / other for one, other in zip(candidate, base, strict=False)]
    return Ratio(statistics.median(candidate) / statistics.median(base), min(pairs), max(pairs))
