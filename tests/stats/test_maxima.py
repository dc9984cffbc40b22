import math

import numpy as np
import pytest

from hpcnn.stats.maxima import expected_largest


def test_of_normal_values_as_the_tables_have_it():
    """E. S. Pearson and H. O. Hartley, Biometrika Tables for Statisticians, vol. 1, table 9."""
    found = [expected_largest(number) for number in (1, 2, 3, 10, 100)]
    assert found == pytest.approx([0, 1 / math.sqrt(math.pi), 1.5 / math.sqrt(math.pi), 1.53875, 2.50759], abs=2e-5)


def test_of_exponential_values_it_is_the_harmonic_number():
    for number in (2, 5, 64, 1024):
        harmonic = sum(1 / k for k in range(1, number + 1))
        assert expected_largest(number, 2.0) == pytest.approx(harmonic - 1, rel=1e-6)


def test_of_many_normal_values_it_nears_the_extreme_value_distribution():
    """Gumbel's, with the constants of Fisher and Tippett, which the largest of normal values nears slowly."""
    from scipy.stats import gumbel_r, norm

    number = 10**9
    place = norm.isf(1 / number)
    limit = gumbel_r.mean(loc=place, scale=norm.isf(1 / (math.e * number)) - place)
    assert expected_largest(number) == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize("skewness", [-1.5, -0.3, 0.5, 1.0, 4.0])
def test_of_drawn_values(skewness):
    from scipy.stats import pearson3

    drawn = pearson3.rvs(skewness, size=(40_000, 16), random_state=1)
    assert expected_largest(16, skewness) == pytest.approx(drawn.max(axis=1).mean(), rel=0.02)


def test_a_hundredth_of_skewness_changes_little():
    below, none, above = (expected_largest(64, skewness) for skewness in (-0.002, 0.0, 0.002))
    assert below < none < above
    assert np.ptp([below, none, above]) < 0.01
