"""The interval of a sum to come holds the sum as often as it says."""

import math

import numpy as np
import pytest

from hpcnn.stats.totals import predicted_total

STUDIES = 1000


def test_by_hand():
    total = predicted_total([10.0, 12.0], 4)
    assert total.value == 44
    away = 12.706 * math.sqrt(2) * math.sqrt(16 / 2 + 4)
    assert total.high == pytest.approx(44 + away, rel=1e-4)
    assert total.low == 0  # no sum is below zero


def test_one_value_has_no_interval_and_none_no_value():
    assert predicted_total([3.0], 5)[0] == 15
    assert math.isnan(predicted_total([3.0], 5).low)
    assert math.isnan(predicted_total([], 5).value)


@pytest.mark.parametrize(("runs", "number"), [(3, 1), (3, 100), (6, 20)])
def test_coverage(runs, number):
    chance = np.random.default_rng(1)
    held = 0
    for _ in range(STUDIES):
        jobs = 100 * np.exp(0.1 * chance.standard_normal(runs + number))
        total = predicted_total(jobs[:runs], number)
        held += total.low <= jobs[runs:].sum() <= total.high
    # three standard errors of a binomial, and a point for times that are not quite normal
    assert held / STUDIES == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / STUDIES) + 0.01)
