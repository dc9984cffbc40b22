"""The median of times of which some are known only to be longer than what was measured.

Must not import runs, epochs or tables.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.stats.medians import CONFIDENCE, Interval, median_interval
from hpcnn.util.errors import HpcnnError

if TYPE_CHECKING:
    from hpcnn.util.types import Array


def median_with_cut_off(values: Array, cut_off: Array) -> float:
    """Return the median by E. L. Kaplan and P. Meier (J. Amer. Statist. Assoc. 53, 1958).

    values: times, infinite where something never happened. cut_off: times until which it had not happened when nobody
    looked any more. Without any of these it is the plain median. Infinite where half of them, or more, are not known to
    have happened; NaN without values. Raises HpcnnError without SciPy, where something was cut off.
    """
    if not len(cut_off):
        return float(np.median(values)) if len(values) else math.nan
    try:
        from scipy.stats import CensoredData, ecdf
    except ImportError as error:
        raise HpcnnError(
            f"runs that were cut off need scipy: {error}. Install it with: pip install 'hpcnn[report]'"
        ) from error
    happened = values[np.isfinite(values)]
    if not len(happened):
        return math.inf
    never = np.full(len(values) - len(happened), max(happened.max(), cut_off.max()) + 1)
    curve = ecdf(CensoredData(happened, right=np.concatenate([cut_off, never]))).sf
    times, left = curve.quantiles, curve.probabilities
    below = np.flatnonzero(left <= 0.5 + 1e-12)
    if not len(below):
        return math.inf
    first = below[0]
    if left[first] < 0.5 - 1e-12:
        return float(times[first])
    later = np.flatnonzero(left < left[first] - 1e-12)  # one half exactly: the middle of the step, as of a plain median
    return float((times[first] + times[later[0]]) / 2) if len(later) else math.inf


def interval_with_cut_off(values: Array, cut_off: Array, confidence: float = CONFIDENCE) -> Interval | None:
    """Return an interval that holds the median at least as often as it says, whatever the others would have taken.

    Its low end takes them to have happened when they were cut off, its high end never.
    """
    low = median_interval(np.concatenate([values, cut_off]), confidence)
    high = median_interval(np.concatenate([values, np.full(len(cut_off), math.inf)]), confidence)
    return None if low is None or high is None else low._replace(high=high.high)
