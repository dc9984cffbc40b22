"""Latency and bandwidth from measured times: the ring model of an allreduce, fitted robustly. Pure.

T(n) = 2 (p-1) alpha + 2 (p-1)/p n/beta for n bytes on p ranks (R. Thakur, R. Rabenseifner and W. Gropp, IJHPCA 19,
2005; P. Patarasuk and X. Yuan, JPDC 69, 2009). An MPI library is free to use other algorithms, so alpha and beta are
what the ring would need to be as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hpcnn.util.errors import UsageError

Vector = npt.NDArray[np.float64]

CONFIDENCE = 0.95
SIZES_NEEDED = 4

_DRAWS = 400
_SEED = 1
# Residuals are logarithms of ratios: beyond a tenth, a point counts linearly and not by its square.
_SCALE = 0.1


class Estimate(NamedTuple):
    """A number with its interval, in its own unit."""

    value: float
    low: float
    high: float


class RingFit(NamedTuple):
    """alpha in seconds, beta in bytes/s. error: the median of |T(n)/measured - 1| over the sizes."""

    alpha: Estimate
    beta: Estimate
    error: float


def ring_seconds(size: Vector, ranks: int, alpha: float, beta: float) -> Vector:
    """Return what the ring model says of messages of ``size`` bytes."""
    return 2 * (ranks - 1) * alpha + 2 * (ranks - 1) / ranks * size / beta


def fit_ring(sizes: Sequence[float], seconds: Sequence[float], ranks: int) -> RingFit:
    """Return alpha and beta with intervals, from the times of messages of different sizes.

    Times span many orders of magnitude, so what is made small are ratios: least squares of log(T(n)/measured) with a
    soft L1 loss, which a single size that is off does not carry away. The intervals (CONFIDENCE) are percentiles over
    bootstrap draws of sizes: they tell how well the model fits this machine, not how much single times vary. Raises
    UsageError for fewer than SIZES_NEEDED sizes, for one rank, and for times that are not positive.
    """
    size, time = np.asarray(sizes, np.float64), np.asarray(seconds, np.float64)
    if ranks < 2:
        raise UsageError(f"ranks: {ranks} is not valid; expected at least 2: one rank has nobody to reduce with")
    if len(set(sizes)) < SIZES_NEEDED:
        raise UsageError(f"--sizes: {len(set(sizes))} sizes do not carry a fit; expected at least {SIZES_NEEDED}")
    if not (time > 0).all():
        raise UsageError("times: one is not positive")
    best = _fitted(size, time, ranks)
    draw = np.random.default_rng(_SEED)
    picks = (draw.integers(len(size), size=len(size)) for _ in range(_DRAWS))
    draws = np.array([_fitted(size[pick], time[pick], ranks, best) for pick in picks if np.ptp(size[pick]) > 0])
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.exp(np.percentile(draws, [tail, 100 - tail], axis=0))
    alpha, beta = (Estimate(float(np.exp(b)), float(lo), float(hi)) for b, lo, hi in zip(best, low, high, strict=True))
    modelled = ring_seconds(size, ranks, alpha.value, beta.value)
    return RingFit(alpha, beta, float(np.median(np.abs(modelled / time - 1))))


def _fitted(size: Vector, time: Vector, ranks: int, start: Vector | None = None) -> Vector:
    """Return (log alpha, log beta)."""
    from scipy.optimize import least_squares

    latency, transfer = 2 * (ranks - 1), 2 * (ranks - 1) / ranks * size

    def residuals(logs: Vector) -> Vector:
        parts: Vector = latency * np.exp(logs[0]) + transfer * np.exp(-logs[1])
        return np.log(parts / time)

    def slopes(logs: Vector) -> Vector:
        first, second = latency * np.exp(logs[0]), transfer * np.exp(-logs[1])
        return np.stack([first / (first + second), -second / (first + second)], axis=1)

    if start is None:  # the smallest message is all latency, the largest all bandwidth
        start = np.log([time[size.argmin()] / latency, transfer.max() / time[size.argmax()]])
    found: Vector = least_squares(residuals, start, slopes, loss="soft_l1", f_scale=_SCALE).x
    return found
