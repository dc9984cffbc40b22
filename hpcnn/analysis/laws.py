"""The laws of scaling for fits: their basis functions, their parameters, and the peak of the USL.

Each law is linear in its coefficients once it is written for times (or rates), so that a fit is a non-negative least
squares problem with one answer and no starting value. Must not import runs or tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.stats.maxima import expected_largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpcnn.util.types import Array

    # Numbers of ranks, ascending, to the seconds of each run.
    Times = dict[int, Array]


@dataclass(frozen=True)
class Law:
    """One law: seconds an epoch on p ranks, T(p) = sum_j c_j f_j(p), or its rate 1/T(p) = sum_j c_j f_j(p).

    basis: f, from ranks (k) to a matrix (k x m). of_rate: the sum is the rate. parameters: their names, and
    ``values`` from coefficients c (... x m) to them (... x q). minimum_sizes: numbers of ranks that a fit needs. peaks:
    whether more ranks may get less done in a second.
    """

    name: str
    kind: str
    basis: Callable[[Array], Array]
    of_rate: bool
    parameters: tuple[str, ...]
    values: Callable[[Array], Array]
    minimum_sizes: int
    why: str
    peaks: bool = False

    def seconds(self, ranks: Array, coefficients: Array) -> Array:
        """Return T at ``ranks`` (k) for ``coefficients`` (... x m): seconds (... x k)."""
        sums: Array = coefficients @ self.basis(ranks).T
        with np.errstate(divide="ignore"):
            return 1 / sums if self.of_rate else sums


def _serial(c: Array) -> Array:
    return np.asarray(c[..., 1:] / c.sum(axis=-1, keepdims=True), dtype="float64")


def _usl(c: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(c[..., 1:] / c[..., :1])


def peak(parameters: Array) -> Array:
    """Return where the USL's throughput is largest, sqrt((1 - s)/k) ranks, at least 1; infinite where k is 0.

    ``parameters``: (... x 2), s and k. (N. J. Gunther, Guerrilla Capacity Planning, Springer 2007, chapter 6.)
    """
    s, k = parameters[..., 0], parameters[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.sqrt(np.clip(1 - s, 0, None) / k)
    return np.where(k > 0, np.maximum(at, 1.0), np.where(s >= 1, 1.0, math.inf))


def _beside_serial(c: Array) -> Array:
    """Return the serial fraction, and the last coefficient over the time on one rank."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(c[..., 1:] / c[..., :2].sum(axis=-1, keepdims=True))


def _of_parallel(c: Array) -> Array:
    """Return the serial fraction, and the last coefficient over the parallel time."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([c[..., 1] / (c[..., 0] + c[..., 1]), c[..., 2] / c[..., 0]], axis=-1)


def _largest(p: Array) -> Array:
    return np.array([expected_largest(int(ranks)) for ranks in p])


_SERIAL_WHY = "two unknowns (the time on one rank and the serial fraction) and something to check them against"
_RIVAL_WHY = "up to three unknowns and something to check them against"
_USL_WHY = "three unknowns, one of which shows on large sizes alone"

AMDAHL = Law(
    name="amdahl",
    kind="strong",
    # T = T1 (b + (1-b)/p); c = T1 (1-b, b). Amdahl, AFIPS 1967.
    basis=lambda p: np.stack([1 / p, np.ones_like(p)], axis=-1),
    of_rate=False,
    parameters=("serial_fraction",),
    values=_serial,
    minimum_sizes=3,
    why=_SERIAL_WHY,
)

GUSTAFSON = Law(
    name="gustafson",
    kind="weak",
    # Scaled speed-up S = p T1/T = p - b(p-1), so 1/T = ((1-b) + b/p)/T1; c = (1-b, b)/T1. Gustafson, CACM 1988.
    basis=lambda p: np.stack([np.ones_like(p), 1 / p], axis=-1),
    of_rate=True,
    parameters=("serial_fraction",),
    values=_serial,
    minimum_sizes=3,
    why=_SERIAL_WHY,
)

USL_STRONG = Law(
    name="usl",
    kind="strong",
    # T = T1 (1 + s(p-1) + k p(p-1))/p; c = T1 (1, s, k). Gunther 2007.
    basis=lambda p: np.stack([1 / p, (p - 1) / p, p - 1], axis=-1),
    of_rate=False,
    parameters=("contention", "coherency"),
    values=_usl,
    minimum_sizes=6,
    why=_USL_WHY,
    peaks=True,
)

USL_WEAK = Law(
    name="usl",
    kind="weak",
    # The throughput is that of p times the work: T = T1 (1 + s(p-1) + k p(p-1)).
    basis=lambda p: np.stack([np.ones_like(p), p - 1, p * (p - 1)], axis=-1),
    of_rate=False,
    parameters=("contention", "coherency"),
    values=_usl,
    minimum_sizes=6,
    why=_USL_WHY,
    peaks=True,
)

TREE_STRONG = Law(
    name="tree",
    kind="strong",
    # T = T1 (b + (1-b)/p + d log2 p): Amdahl's, and an allreduce over a tree of log2 p levels.
    basis=lambda p: np.stack([1 / p, np.ones_like(p), np.log2(p)], axis=-1),
    of_rate=False,
    parameters=("serial_fraction", "per_doubling"),
    values=_beside_serial,
    minimum_sizes=4,
    why=_RIVAL_WHY,
    peaks=True,
)

TREE_WEAK = Law(
    name="tree",
    kind="weak",
    basis=lambda p: np.stack([np.ones_like(p), np.log2(p)], axis=-1),
    of_rate=False,
    parameters=("per_doubling",),
    values=_usl,
    minimum_sizes=4,
    why=_RIVAL_WHY,
)

JITTER_STRONG = Law(
    name="jitter",
    kind="strong",
    # T = T1 (b + (1-b) (1 + v E(p))/p): Amdahl's, where the slowest of p ranks decides. E(p): the expected largest of p
    # standard normal values, in deviations; v: the deviation of a rank's part, relative to its mean.
    basis=lambda p: np.stack([1 / p, np.ones_like(p), _largest(p) / p], axis=-1),
    of_rate=False,
    parameters=("serial_fraction", "jitter"),
    values=_of_parallel,
    minimum_sizes=4,
    why=_RIVAL_WHY,
)

JITTER_WEAK = Law(
    name="jitter",
    kind="weak",
    basis=lambda p: np.stack([np.ones_like(p), _largest(p)], axis=-1),
    of_rate=False,
    parameters=("jitter",),
    values=_usl,
    minimum_sizes=4,
    why=_RIVAL_WHY,
)

RING_WEAK = Law(
    name="ring",
    kind="weak",
    # A ring's allreduce: 2 (p-1)/p n/beta + 2 (p-1) alpha. Of strong scaling, the sum of Amdahl's and this is the USL.
    basis=lambda p: np.stack([np.ones_like(p), (p - 1) / p, p - 1], axis=-1),
    of_rate=False,
    parameters=("bandwidth_part", "latency_part"),
    values=_usl,
    minimum_sizes=4,
    why=_RIVAL_WHY,
)

LAWS = (AMDAHL, GUSTAFSON, USL_STRONG, USL_WEAK)
# Laws that are fitted where there are sizes enough, to be compared with those.
RIVALS = (RING_WEAK, TREE_STRONG, TREE_WEAK, JITTER_STRONG, JITTER_WEAK)
