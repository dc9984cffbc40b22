"""The expected largest of p independent values of one distribution, of which mean, deviation and skewness are known.

The distribution is the shifted gamma distribution (Pearson's type III), which has any skewness: the normal one at 0,
the exponential at 2. Must not import runs or tables.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hpcnn.util.errors import HpcnnError

# Nearer to 0 than this a skewness changes nothing, and the gamma functions lose digits.
_NORMAL = 1e-3
# The nodes of the integral: the logits of the largest value's distribution function, beyond which nothing is left.
_LOGITS = np.linspace(-36, 36, 721)


@lru_cache(maxsize=1000)
def expected_largest(number: int, skewness: float = 0.0) -> float:
    """Return by how many standard deviations the largest of so many values is expected to exceed their mean.

    The integral of the quantile function at u^(1/p) over u from 0 to 1 (H. A. David, Order Statistics, 1981, section
    3.1); exact for any p, where extreme-value distributions are limits. Raises HpcnnError without SciPy.
    """
    try:
        from scipy.special import expit, gammainccinv, gammaincinv, ndtri
    except ImportError as error:
        raise HpcnnError(f"jitter needs scipy: {error}. Install it with: pip install 'hpcnn[report]'") from error
    if number == 1:
        return 0.0
    # 1 - u^(1/p), with its digits where it is small
    above = -np.expm1(-np.logaddexp(0, -_LOGITS) / number)
    if abs(skewness) < _NORMAL:
        values = -ndtri(above)
    else:
        shape = 4 / skewness**2
        tail = gammainccinv(shape, above) if skewness > 0 else gammaincinv(shape, above)
        values = np.sign(skewness) * (tail - shape) / np.sqrt(shape)
    return float(values @ (expit(_LOGITS) * expit(-_LOGITS)) * (_LOGITS[1] - _LOGITS[0]))
