"""The shift between two sets of values, with its interval and the tests that belong to it.

Mann and Whitney's rank test is exact where both sets spread alike, and cries wolf where a few noisy values meet many
quiet ones. So Brunner and Munzel's must agree with it, which allows any spread; where one set has far fewer values than
the other, this one is too bold as well, and Welch's test must agree too. Simulated: tests/stats/test_error_rates.py.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.stats.medians import CONFIDENCE, check_confidence, without_missing
from hpcnn.util.errors import HpcnnError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hpcnn.util.types import Array

# Pairs up to which the test's statistic has its exact distribution; beyond, the normal one is as good.
_MOST_PAIRS_EXACT = 2500
# Sets of which one has so many times the values of the other are unbalanced.
_UNBALANCED = 1.5


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

    difference: the median of all differences b - a (Hodges and Lehmann, Ann. Math. Stat. 34, 1963). low and high: all
    shifts that some of the tests of ``p_of_no_shift`` allows. That of Mann and Whitney allows those between two of
    the pairs' differences (Hollander and Wolfe, Nonparametric Statistical Methods, section 4.3); the widest interval
    there is where the values are too few to reach ``confidence``. coverage: of that interval, which the other
    tests only widen. effect_size: Cliff (Psychological Bulletin 114, 1993), the same as the rank-biserial correlation.

    Raises ValueError for an empty set or a missing value, UsageError for a confidence outside 0 to 1, and HpcnnError
    without SciPy.
    """
    check_confidence(confidence)
    first, second = without_missing(a), without_missing(b)
    p_value = p_of_no_shift(first, second)
    pairs = np.sort((second[:, None] - first[None, :]).ravel())
    outside = _tail_probabilities(len(first), len(second))
    enough = [k for k, tail in enumerate(outside) if 1 - 2 * tail >= confidence]
    k = enough[-1] if enough else 0
    low, high = float(pairs[k]), float(pairs[-1 - k])
    if enough:
        wider = [_brunner_munzel_interval(first, second, pairs, k, 1 - confidence)]
        if _unbalanced(first, second):
            wider.append(_welch_interval(first, second, confidence))
        low, high = min(low, *(ends[0] for ends in wider)), max(high, *(ends[1] for ends in wider))
    return Shift(
        difference=float(np.median(pairs)),
        low=low,
        high=high,
        coverage=max(1 - 2 * outside[k], 0.0),
        p_value=p_value,
        effect_size=float(np.sign(pairs).mean()),
    )


def p_of_no_shift(a: Sequence[float] | Array, b: Sequence[float] | Array) -> float:
    """Return the two-sided p value of "b is no larger and no smaller than a": the largest of the tests'.

    Mann and Whitney, exact without ties; Brunner and Munzel (Biometrical Journal 42, 2000), where both sets have
    two values; Welch (Biometrika 34, 1947), where the numbers of values are unbalanced. Raises as ``shift`` does.
    """
    first, second = without_missing(a), without_missing(b)
    if not len(first) or not len(second):
        raise ValueError("a set without values cannot be compared")
    try:
        import scipy.special  # noqa: F401  # scipy.stats takes a second to import
    except ImportError as error:
        raise HpcnnError(
            f"comparing runs needs scipy: {error}. Install it with: pip install 'hpcnn[report]'"
        ) from error

    found = [_mann_whitney(first, second), _brunner_munzel(first, second)]
    if _unbalanced(first, second) and min(len(first), len(second)) > 1:
        from scipy.stats import ttest_ind

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that are all alike have no t
            found.append(float(ttest_ind(first, second, equal_var=False).pvalue))
    return max(p for p in found if not math.isnan(p))


def holm(p_values: Sequence[float] | Array) -> Array:
    """Return the p values of tests that were made together, adjusted (Holm, Scand. J. Statistics 6, 1979).

    Of all hypotheses that hold, one is rejected at a level with no more than that probability, however many tests there
    are. A missing value stays missing and counts as no test.
    """
    values = np.asarray(p_values, dtype="float64")
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    adjusted = np.full(len(values), math.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _unbalanced(a: Array, b: Array) -> bool:
    return max(len(a), len(b)) > _UNBALANCED * min(len(a), len(b))


def _mann_whitney(a: Array, b: Array) -> float:
    n, m = len(a), len(b)
    if n * m > _MOST_PAIRS_EXACT or len(np.unique(np.concatenate([a, b]))) < n + m:
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(b, a, alternative="two-sided").pvalue)
    larger = int((b[None, :] > a[:, None]).sum())
    fewer = min(larger, n * m - larger)
    tails = _tail_probabilities(n, m)
    return min(2 * tails[fewer], 1.0) if fewer < len(tails) else 1.0


def _brunner_munzel(a: Array, b: Array) -> float:
    """Return the two-sided p value; NaN where it has no meaning.

    In the form of E. R. DeLong et al. (Biometrics 44, 1988): the fraction of the pairs in which b is larger, less a
    half, over its standard error from the values' own fractions. SciPy's brunnermunzel gives the same
    (tests/stats/test_rank_tests.py) in twenty times as long, and an interval asks for dozens.
    """
    from scipy.special import stdtr

    n, m = len(a), len(b)
    if min(n, m) < 2:
        return math.nan
    larger = (np.sign(b[None, :] - a[:, None]) + 1) / 2
    of_a, of_b = larger.mean(axis=1).var(ddof=1) / n, larger.mean(axis=0).var(ddof=1) / m
    excess, variance = abs(larger.mean() - 0.5), of_a + of_b
    if variance == 0:  # no two values overlap, or all are alike
        return 0.0 if excess else math.nan
    freedom = variance**2 / (of_a**2 / (n - 1) + of_b**2 / (m - 1))
    return float(2 * stdtr(freedom, -excess / math.sqrt(variance)))


def _brunner_munzel_interval(a: Array, b: Array, pairs: Array, k: int, level: float) -> tuple[float, float]:
    """Return the shifts between which the test of Brunner and Munzel does not reject at ``level``.

    Its p value changes at the sorted ``pairs`` alone; those from ``k`` to the k-th last are known to be inside.
    """
    last = len(pairs) - 1

    def allowed(at: int) -> bool:  # a shift between the pairs ``at`` and ``at + 1``
        return not _brunner_munzel(a, b - (pairs[at] + pairs[at + 1]) / 2) <= level

    low = _first_where(allowed, 0, k)
    high = _first_where(lambda at: allowed(last - 1 - at), 0, k)
    return float(pairs[low]), float(pairs[last - high])


def _first_where(holds: Callable[[int], bool], start: int, end: int) -> int:
    """Return the smallest number from ``start`` on for which ``holds``, which does so from there to ``end``."""
    while start < end:
        middle = (start + end) // 2
        if holds(middle):
            end = middle
        else:
            start = middle + 1
    return end


def _welch_interval(a: Array, b: Array, confidence: float) -> tuple[float, float]:
    from scipy.stats import ttest_ind

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ends = ttest_ind(b, a, equal_var=False).confidence_interval(confidence)
    low, high = float(ends.low), float(ends.high)
    return (math.inf, -math.inf) if math.isnan(low) or math.isnan(high) else (low, high)


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
