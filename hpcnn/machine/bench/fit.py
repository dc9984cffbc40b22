"""Fit the ring model of an allreduce, latency and bandwidth, robustly to measured times. Pure.

T(n) = 2 (p-1) alpha + 2 (p-1)/p n/beta for n bytes on p ranks (R. Thakur, R. Rabenseifner and W. Gropp, IJHPCA 19,
2005; P. Patarasuk and X. Yuan, JPDC 69, 2009). An MPI library may use other algorithms: alpha and beta are those of a
ring with the same times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hpcnn.util.errors import UsageError
from hpcnn.util.types import Vector

CONFIDENCE = 0.95
SIZES_NEEDED = 4

_DRAWS = 400
_SEED = 1
# Residuals are logarithms of ratios: beyond a tenth, the loss grows linearly and not by the square.
_SCALE = 0.1


class Estimate(NamedTuple):
    """An estimated number with its interval, in its own unit."""

    value: float
    low: float
    high: float


class RingFit(NamedTuple):
    """The fitted ring model: alpha (s), beta (bytes/s), and error, the median of |T(n)/measured - 1| over the sizes."""

    alpha: Estimate
    beta: Estimate
    error: float


def ring_seconds(size: Vector, ranks: int, alpha: float, beta: float) -> Vector:
    """Return the seconds of the ring model for messages of ``size`` bytes."""
    return 2 * (ranks - 1) * alpha + 2 * (ranks - 1) / ranks * size / beta


def fit_ring(sizes: Sequence[float], seconds: Sequence[float], ranks: int) -> RingFit:
    """Fit alpha and beta, with intervals, to the times of messages of different sizes.

    Times span many orders of magnitude, so the fit minimizes ratios: least squares of log(T(n)/measured) with a soft L1
    loss, which is robust against a single outlying size. The intervals (CONFIDENCE) are percentiles over bootstrap
    samples of sizes: they measure how well the model fits this machine, not how much single times vary. Raises
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

    if start is None:  # the smallest message is mostly latency, the largest mostly bandwidth
        start = np.log([time[size.argmin()] / latency, transfer.max() / time[size.argmax()]])
    found: Vector = least_squares(residuals, start, slopes, loss="soft_l1", f_scale=_SCALE).x
    return found
