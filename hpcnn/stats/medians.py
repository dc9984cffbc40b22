"""The median of a few measured values with its exact interval, and outliers by Tukey's fences.

No function assumes normality (Hoefler and Belli, SC15, rule 6). Values and results are numbers of one unit; must not
import runs, epochs or tables.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from hpcnn.util.errors import bad_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hpcnn.util.types import Array

CONFIDENCE = 0.95

# Tukey, Exploratory Data Analysis (1977): a value further than this many interquartile ranges from the quartiles.
FENCES = 1.5
# Of three values, none can lie outside their own fences: the farthest of them pulls a quartile half of its way along.
LEAST_FOR_FENCES = 4

Quartile = TypeVar("Quartile", float, "pd.Series[float]")


class Interval(NamedTuple):
    """From ``low`` to ``high``, in the unit of the values; ``coverage`` (0..1) is the true one, not the asked one."""

    low: float
    high: float
    coverage: float


def median_interval(values: Sequence[float] | Array, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the exact interval of the median: between two of the sorted values, by their ranks alone.

    Of n independent values of any continuous distribution, the median lies between the k-th smallest and the k-th
    largest with probability 1 - 2 P(X < k), X binomial of n and 1/2 (Hoefler and Belli, SC15, rule 6; Le Boudec,
    Performance Evaluation, 2010, section 2.2). The narrowest such interval that reaches ``confidence`` is returned;
    where none does (see ``runs_needed``), the widest there is, smallest to largest, and its ``coverage`` says how much
    that is. None for fewer than two values. An infinite value is one: longer than was measured. Raises ValueError for a
    missing value, and UsageError for a confidence outside 0 to 1.
    """
    check_confidence(confidence)
    ordered = np.sort(without_missing(values))
    n = len(ordered)
    if n < 2:
        return None
    # outside are 2 sum(C(n, i), i <= k) of the 2^n equally likely ways in which n values lie about the median
    k, outside = 0, 2
    while k + 1 < n // 2 and 1 - (outside + 2 * math.comb(n, k + 1)) / 2**n >= confidence:
        k += 1
        outside += 2 * math.comb(n, k)
    return Interval(float(ordered[k]), float(ordered[n - 1 - k]), 1 - outside / 2**n)


def runs_needed(confidence: float = CONFIDENCE) -> int:
    """Return how many values an interval of the median needs to reach ``confidence``: 6 for 95 %.

    The widest interval of n values covers 1 - 2/2^n: 93.75 % for five, 96.9 % for six.
    """
    check_confidence(confidence)
    n = 2
    while 1 - 2 / 2**n < confidence:
        n += 1
    return n


def tukey_outliers(values: Sequence[float] | Array) -> Array:
    """Return which values lie outside Tukey's fences: below Q1 - 1.5 (Q3 - Q1) or above Q3 + 1.5 (Q3 - Q1)."""
    array = without_missing(values)
    if not len(array):
        return np.zeros(0, dtype=bool)
    low, high = fences(*np.percentile(array, [25, 75]))
    outside: Array = (array < low) | (array > high)
    return outside


def fences(first_quartile: Quartile, third_quartile: Quartile) -> tuple[Quartile, Quartile]:
    """Return Tukey's fences, low and high, of quartiles: numbers, or whole columns of them."""
    reach = FENCES * (third_quartile - first_quartile)
    return first_quartile - reach, third_quartile + reach


def without_missing(values: Sequence[float] | Array) -> Array:
    """Return the values as an array. Raises ValueError for a missing one."""
    array = np.asarray(values, dtype="float64")
    if np.isnan(array).any():
        raise ValueError("a statistic of values of which one is missing has no meaning")
    return array


def check_confidence(confidence: float) -> None:
    """Raise UsageError for a ``confidence`` outside 0 to 1."""
    if not (math.isfinite(confidence) and 0 < confidence < 1):
        raise bad_value("confidence", confidence, "a number between 0 and 1, such as 0.95")
