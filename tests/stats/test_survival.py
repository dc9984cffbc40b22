"""The median of times of which some were cut off."""

import math

import numpy as np
import pytest

from hpcnn.stats.medians import median_interval
from hpcnn.stats.survival import interval_with_cut_off, median_with_cut_off

NONE = np.array([])


def test_without_cut_off_times_it_is_the_plain_median():
    assert median_with_cut_off(np.array([3.0, 1.0, 2.0]), NONE) == 2
    assert median_with_cut_off(np.array([1.0, 2.0, 4.0, math.inf]), NONE) == 3
    assert math.isnan(median_with_cut_off(NONE, NONE))


def test_the_median_by_hand():
    # At risk 6: S = 5/6 at 6, cut off at 6.5, then 4 at risk: S = 5/8 at 7, 5/12 at 10.
    assert median_with_cut_off(np.array([6.0, 7.0, 10.0, 12.0, 13.0]), np.array([6.5])) == 10
    # S = 3/4 at 1 and 1/2 at 2, the rest cut off later: nobody knows when the next would be
    assert median_with_cut_off(np.array([1.0, 2.0]), np.array([5.0, 6.0])) == math.inf
    # one half exactly from 2 to 4
    assert median_with_cut_off(np.array([1.0, 2.0, 4.0]), np.array([5.0])) == 3
    assert median_with_cut_off(NONE, np.array([5.0])) == math.inf
    assert median_with_cut_off(np.array([math.inf, math.inf, 1.0]), np.array([0.5])) == math.inf


def test_the_interval_allows_for_anything_after_the_cut():
    values, cut_off = np.array([10.0, 11.0, 12.0, 13.0]), np.array([9.0, 20.0])
    found = interval_with_cut_off(values, cut_off)
    assert (found.low, found.high) == (9.0, math.inf)
    assert found.coverage == median_interval(range(6)).coverage
    assert interval_with_cut_off(np.array([1.0]), NONE) is None


@pytest.mark.long
def test_runs_that_were_cut_off_do_not_make_the_median_too_short():
    """Exponential times, looked at until a time that has nothing to do with them: 500 studies of 20 runs."""
    chance, truth = np.random.default_rng(5), math.log(2)
    found, lucky, held = [], [], 0
    for _ in range(500):
        times, until = chance.exponential(1.0, 20), chance.uniform(0.2, 2.5, 20)
        seen, cut = times[times <= until], until[times > until]
        found.append(median_with_cut_off(seen, cut))
        lucky.append(np.median(seen))
        interval = interval_with_cut_off(seen, cut)
        held += interval.low <= truth <= interval.high
    assert np.median(found) == pytest.approx(truth, rel=0.05)
    assert np.median(lucky) < 0.8 * truth
    assert held / 500 >= interval.coverage - 3 * math.sqrt(interval.coverage * (1 - interval.coverage) / 500)
