"""What many trainings to come will take in all, from few that were measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.stats.medians import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence


class Total(NamedTuple):
    """A sum to come, and the bounds of its prediction interval, NaN where one value gives none."""

    value: float
    low: float
    high: float


def predicted_total(values: Sequence[float], number: int, confidence: float = CONFIDENCE) -> Total:
    """Return the sum of ``number`` further values like ``values``, with its prediction interval.

    number x the mean, plus or minus t s sqrt(number^2 / n + number): what the mean of n values is not sure of, and what
    the further values differ by (Student's t; Hahn and Meeker, Statistical Intervals, 1991, section 4.8). NaN
    without values; no interval with one, or without SciPy. No bound is below zero.
    """
    measured = np.asarray(values, dtype="float64")
    if not len(measured):
        return Total(math.nan, math.nan, math.nan)
    total = number * float(measured.mean())
    try:
        from scipy.stats import t
    except ImportError:
        return Total(total, math.nan, math.nan)
    if len(measured) == 1:
        return Total(total, math.nan, math.nan)
    n = len(measured)
    deviation = float(measured.std(ddof=1)) * math.sqrt(number**2 / n + number)
    away = float(t.ppf((1 + confidence) / 2, n - 1)) * deviation
    return Total(total, max(total - away, 0.0), total + away)
