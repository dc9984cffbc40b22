"""Intervals of medians and outliers: exact numbers, published ones, and coverage over many seeds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from hpcnn.stats.medians import Interval, median_interval, runs_needed, tukey_outliers
from hpcnn.util.errors import UsageError


@pytest.mark.parametrize(
    ("n", "rank", "coverage"),
    [
        # Hoefler and Belli (SC15), rule 6: five repeats reach 93.75 %, six 96.9 %.
        (2, 1, 0.5),
        (5, 1, 0.9375),
        (6, 1, 0.96875),
        (8, 1, 0.9921875),
        (9, 2, 0.9609375),
    ],
)
def test_the_interval_of_the_median_by_published_ranks(n, rank, coverage):
    interval = median_interval(list(range(n, 0, -1)))
    assert interval == (rank, n + 1 - rank, pytest.approx(coverage, abs=1e-6))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_the_interval_is_the_narrowest_that_reaches_the_confidence(confidence):
    for n in range(2, 120):
        low, high, coverage = median_interval(list(range(1, n + 1)), confidence)
        assert low + high == n + 1
        assert coverage == pytest.approx(1 - 2 * binom.cdf(low - 1, n, 0.5))
        assert coverage >= confidence or low == 1
        if low < n // 2:
            assert 1 - 2 * binom.cdf(low, n, 0.5) < confidence


def test_one_value_has_no_interval():
    assert median_interval([3.0]) is None
    assert median_interval([]) is None


def test_an_interval_whose_end_was_never_reached_is_open():
    assert median_interval([1, 2, 3, 4, 5, math.inf]) == Interval(1, math.inf, 0.96875)


def test_a_missing_value_is_refused():
    for function in (median_interval, tukey_outliers):
        with pytest.raises(ValueError, match="missing"):
            function([1.0, math.nan])


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, math.nan])
def test_a_confidence_that_is_none_is_refused(confidence):
    with pytest.raises(UsageError, match="between 0 and 1"):
        median_interval([1.0, 2.0], confidence)
    with pytest.raises(UsageError, match="between 0 and 1"):
        runs_needed(confidence)


def test_runs_needed():
    assert [runs_needed(confidence) for confidence in (0.5, 0.9, 0.95, 0.99)] == [2, 5, 6, 8]


@pytest.mark.parametrize("n", [2, 5, 6, 9, 25])
def test_the_interval_covers_as_often_as_it_says(n):
    """Of log-normal times: skewed, as times are. Over 4000 seeds the standard error is below 0.8 %."""
    values = np.random.default_rng(n).lognormal(0.0, 0.7, (4000, n))
    intervals = [median_interval(row) for row in values]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    assert covered == pytest.approx(intervals[0].coverage, abs=0.025)


def test_tukeys_fences():
    # Quartiles 3.25 and 7.75 of 1..10, fences -3.5 and 14.5.
    values = [*range(1, 10), 10]
    assert not tukey_outliers(values).any()
    assert tukey_outliers([*range(1, 10), 40]).tolist() == [False] * 9 + [True]
    assert tukey_outliers([5, 5, 5, 5, 6]).tolist() == [False] * 4 + [True]
    assert tukey_outliers([]).tolist() == []


times = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=30)


@given(times, st.floats(1e-3, 1e3))
def test_an_interval_has_the_unit_of_its_values(values, factor):
    interval, scaled = median_interval(values), median_interval([value * factor for value in values])
    assert scaled == pytest.approx((interval.low * factor, interval.high * factor, interval.coverage))


@given(times, st.randoms())
def test_the_order_of_values_changes_nothing(values, chance):
    shuffled = chance.sample(values, len(values))
    assert median_interval(shuffled) == median_interval(values)
    assert sorted(np.array(shuffled)[tukey_outliers(shuffled)]) == sorted(np.array(values)[tukey_outliers(values)])


@given(times)
def test_the_median_is_in_its_interval_and_never_an_outlier(values):
    interval = median_interval(values)
    assert interval.low <= np.median(values) <= interval.high
    middle = sorted(values)[len(values) // 2]
    assert not tukey_outliers(values)[values.index(middle)]
