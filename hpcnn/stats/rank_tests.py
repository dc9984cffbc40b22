"""The shift between two sets of values, with its interval and the rank test of Mann and Whitney.

It assumes no normal distribution: it uses ranks alone.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.stats.medians import CONFIDENCE, check_confidence, without_missing
from hpcnn.util.errors import HpcnnError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcnn.util.types import Array

# Pairs up to which the test's statistic has its exact distribution; beyond, the normal one is as good.
_MOST_PAIRS_EXACT = 2500


class Shift(NamedTuple):
    """How much larger b is than a, in the unit of the values.

    ``coverage`` is the true one of ``low`` to ``high``; ``effect_size`` is Cliff's delta, -1 to 1.
    """

    difference: float
    low: float
    high: float
    coverage: float
    p_value: float
    effect_size: float


def shift(a: Sequence[float] | Array, b: Sequence[float] | Array, confidence: float = CONFIDENCE) -> Shift:
    """Return how much larger the values of ``b`` are than those of ``a``.

    difference: the median of all differences b - a (Hodges and Lehmann, Ann. Math. Stat. 34, 1963). low and high:
    the interval of the same pairs' differences that belongs to the Mann-Whitney test (Hollander and Wolfe,
    Nonparametric Statistical Methods, section 4.3); the widest there is where the values are too few to reach
    ``confidence``. p_value: two-sided, Mann and Whitney (scipy.stats.mannwhitneyu). effect_size: Cliff
    (Psychological Bulletin 114, 1993), the same as the rank-biserial correlation.

    Raises ValueError for an empty set or a missing value, UsageError for a confidence outside 0 to 1, and HpcnnError
    without SciPy.
    """
    check_confidence(confidence)
    first, second = without_missing(a), without_missing(b)
    if not len(first) or not len(second):
        raise ValueError("a set without values cannot be compared")
    try:
        from scipy.stats import mannwhitneyu
    except ImportError as error:
        raise HpcnnError(
            f"comparing runs needs scipy: {error}. Install it with: pip install 'hpcnn[report]'"
        ) from error

    pairs = np.sort((second[:, None] - first[None, :]).ravel())
    outside = _tail_probabilities(len(first), len(second))
    enough = [k for k, tail in enumerate(outside) if 1 - 2 * tail >= confidence]
    k = enough[-1] if enough else 0
    return Shift(
        difference=float(np.median(pairs)),
        low=float(pairs[k]),
        high=float(pairs[-1 - k]),
        coverage=max(1 - 2 * outside[k], 0.0),
        p_value=float(mannwhitneyu(second, first, alternative="two-sided").pvalue),
        effect_size=float(np.sign(pairs).mean()),
    )


def values_needed(confidence: float = CONFIDENCE) -> int:
    """Return how many values each of two sets needs for an interval that reaches ``confidence``: 4 for 95 %."""
    check_confidence(confidence)
    n = 1
    while 1 - 2 / math.comb(2 * n, n) < confidence:
        n += 1
    return n


@functools.lru_cache
def _tail_probabilities(n: int, m: int) -> tuple[float, ...]:
    """Return P(U <= k) for k = 0, 1, ... up to the middle, U the Mann-Whitney statistic of ``n`` and ``m`` values.

    Exact by counting: the number of arrangements with statistic u is the coefficient of x^u in
    prod_i (1 - x^(m+i)) / (1 - x^i), i = 1..n (Mann and Whitney, Ann. Math. Stat. 18, 1947). For many values, the
    normal distribution of the same mean and variance.
    """
    middle = (n * m - 1) // 2
    if n * m > _MOST_PAIRS_EXACT:
        deviation = math.sqrt(n * m * (n + m + 1) / 12)
        return tuple(0.5 * math.erfc((n * m / 2 - k - 0.5) / deviation / math.sqrt(2)) for k in range(middle + 1))
    ways = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            ways[u] -= ways[u - m - i]
        for u in range(i, n * m + 1):
            ways[u] += ways[u - i]
    total, below, tails = math.comb(n + m, n), 0, []
    for k in range(max(middle, 0) + 1):
        below += ways[k]
        tails.append(below / total)
    return tuple(tails)
