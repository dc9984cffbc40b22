"""Non-negative least squares where a damaged record has numbers beyond all measure."""

import numpy as np
import pytest

from hpcnn.stats.nnls import solve_nnls
from hpcnn.util.errors import HpcnnError


def test_columns_of_very_different_size():
    solved = solve_nnls(np.array([[[1.0, 1e-9], [1.0, 2e-9]]]), np.array([3.0, 4.0]))
    assert solved == pytest.approx(np.array([[2.0, 1e9]]))


@pytest.mark.parametrize("nothing", [0.0, 5e-324, 1e-310])
def test_a_column_of_zeros_explains_nothing(nothing):
    assert solve_nnls(np.array([[[1.0, nothing], [2.0, nothing]]]), np.array([1.0, 2.0]))[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize(("number", "target"), [(1e300, 1.0), (1.0, np.inf), (np.nan, 1.0)])
def test_numbers_beyond_all_measure_are_an_error(number, target):
    with pytest.raises(HpcnnError, match="beyond all measure"):
        solve_nnls(np.array([[[number], [number]]]), np.array([target, 1.0]))
