"""Non-negative least squares, by SciPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.util.errors import HpcnnError

if TYPE_CHECKING:
    from hpcnn.util.types import Array


def solve_nnls(matrices: Array, targets: Array) -> Array:
    """Return the x >= 0 (s x m) that minimise |A x - b| for each A of ``matrices`` (s x k x m); b: ``targets`` (k).

    Raises HpcnnError without SciPy, and for numbers of which the squares are infinite. (C. L. Lawson and R. J. Hanson,
    Solving Least Squares Problems, 1974, chapter 23.)
    """
    try:
        from scipy.optimize import nnls
    except ImportError as error:
        raise HpcnnError(f"fitting needs scipy: {error}. Install it with: pip install 'hpcnn[report]'") from error
    # Columns of very different size (p against p squared) would lose digits: each is scaled to length 1.
    length = np.linalg.norm(matrices, axis=-2)
    if not (np.isfinite(length).all() and np.isfinite(targets).all()):
        raise HpcnnError("the records hold numbers beyond all measure, to which nothing can be fitted")
    length = np.where(length > np.finfo(np.float64).tiny, length, 1.0)  # nothing is a multiple of a column of zeros
    solved = [nnls(matrix / scale, targets)[0] / scale for matrix, scale in zip(matrices, length, strict=True)]
    return np.array(solved)
