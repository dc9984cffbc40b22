"""The tests of a shift against SciPy's, and Holm's adjustment by hand."""

import math

import numpy as np
import pytest
from scipy.stats import brunnermunzel, mannwhitneyu, ttest_ind

from hpcnn.stats.rank_tests import _brunner_munzel, _mann_whitney, holm, p_of_no_shift, shift


@pytest.mark.parametrize(("n", "m"), [(4, 5), (7, 7), (20, 5), (3, 12)])
def test_the_tests_are_those_of_scipy(n, m):
    chance = np.random.default_rng(n * m)
    for decimals in (8, 0):  # without ties, and with many
        a, b = chance.normal(size=n).round(decimals), (2 * chance.normal(size=m)).round(decimals)
        p = _brunner_munzel(a, b)
        assert p == pytest.approx(brunnermunzel(a, b).pvalue)
        # ours is exact for more values than SciPy's own choice
        method = "exact" if decimals else "auto"
        assert _mann_whitney(a, b) == pytest.approx(mannwhitneyu(b, a, method=method).pvalue)
        welch = ttest_ind(a, b, equal_var=False).pvalue if max(n, m) > 1.5 * min(n, m) else 0.0
        assert p_of_no_shift(a, b) == pytest.approx(max(p, _mann_whitney(a, b), welch))


def test_the_interval_holds_the_shifts_that_no_test_rejects():
    chance = np.random.default_rng(3)
    for n, m in [(6, 6), (12, 5)]:
        a, b = chance.normal(size=n), 3 * chance.normal(size=m)
        found = shift(a, b)
        width = found.high - found.low
        inside, below, above = found.low + 1e-6 * width, found.low - 1e-6 * width, found.high + 1e-6 * width
        assert p_of_no_shift(a, b - inside) > 0.05
        assert p_of_no_shift(a, b - below) <= 0.05 + 1e-4
        assert p_of_no_shift(a, b - above) <= 0.05 + 1e-4


def test_few_noisy_values_among_many_quiet_ones_need_more_than_mann_and_whitney():
    quiet, noisy = np.linspace(0.99, 1.01, 20), np.array([1.0, 1.2, 1.3, 1.5, 1.7])
    assert mannwhitneyu(quiet, noisy).pvalue < 0.01
    assert p_of_no_shift(quiet, noisy) > 0.02


def test_values_that_are_all_alike_show_no_shift():
    found = shift([1.0] * 5, [1.0] * 5)
    assert (found.low, found.high, found.p_value) == (0, 0, 1)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, math.nan, 0.9]) == pytest.approx([1.0, math.nan, 1.0], nan_ok=True)
    assert len(holm([])) == 0
