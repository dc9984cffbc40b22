"""How far a prediction may be off: what repeats differ by, and by how much the model missed sizes that it did not see.

The second part grows with the distance: each measured size is predicted from those below it, and the error of these
checks for each doubling of the ranks is taken to go on. It has the noise of their runs too, so of a model that is right
the bounds hold the truth more often than they say. Must not import runs or tables.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.analysis.predict.workload import costs
from hpcnn.stats.medians import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpcnn.analysis.predict.workload import Sizes, Workload
    from hpcnn.util.types import Array

    # Seconds an epoch of a workload on each of so many ranks.
    Model = Callable[[Workload, Sequence[int]], Array]

RESAMPLES = 100


class Bounds(NamedTuple):
    """Bounds of predicted seconds, one a size; NaN, with ``missing`` saying why, where there are none.

    per_doubling: the relative error of the checks for each doubling of the ranks (root mean square); checks: how many
    sizes were predicted from smaller ones.
    """

    low: Array
    high: Array
    per_doubling: float
    checks: int
    missing: str | None


def bounds(model: Model, workload: Workload, sizes: Sizes, runs: Mapping[int, Array], ranks: Sequence[int]) -> Bounds:
    """Return the bounds of the time that ``model`` predicts for ``workload`` on ``ranks``.

    sizes: from which the workload is. runs: the seconds an epoch of each run, by number of ranks. The half-width, in
    logarithms, is the root of the sum of two squares: Student's t times the standard deviation of the prediction
    over resamples of whole runs, and the error of the checks times (1 + doublings from the largest measured size). A
    few checks may miss little by chance: their error is widened as Student's t widens one standard deviation, 1.84
    times for a single check, 1.20 times for three.
    """
    distinct = np.unique(sizes.ranks)
    if len(distinct) < 3:
        return no_bounds(len(ranks), "fewer than three sizes; three sizes of two runs each give one")
    if min(len(own) for own in runs.values()) < 2:
        return no_bounds(len(ranks), "a size was run once; two runs of each give one")
    from scipy.stats import norm, t

    per_doubling, checks = _checked(model, workload, sizes, distinct)
    counts = np.array([len(runs[int(number)]) for number in distinct])
    logs = np.log([model(refitted(workload, drawn), ranks) for drawn in _resampled(sizes, runs)])
    # a sample of n has (n-1)/n of the variance (Hesterberg, The American Statistician 2015, section 5.3)
    deviation = logs.std(axis=0, ddof=1) * math.sqrt(counts.min() / (counts.min() - 1))
    noise = t.ppf((1 + CONFIDENCE) / 2, (counts - 1).sum()) * deviation
    away = 1 + np.log2(np.maximum(np.asarray(ranks) / distinct[-1], 1))
    beyond = t.ppf(norm.cdf(1), checks) * per_doubling * away
    half = np.hypot(noise, beyond)
    predicted = model(workload, ranks)
    return Bounds(predicted * np.exp(-half), predicted * np.exp(half), per_doubling, checks, None)


def no_bounds(number: int, missing: str) -> Bounds:
    """Return the bounds of so many sizes that have none."""
    nothing = np.full(number, math.nan)
    return Bounds(nothing, nothing, math.nan, 0, missing)


def refitted(workload: Workload, sizes: Sizes) -> Workload:
    """Return the workload with the costs that fit ``sizes`` best."""
    return replace(workload, **costs(sizes))  # type: ignore[arg-type]


def _checked(model: Model, workload: Workload, sizes: Sizes, distinct: Array) -> tuple[float, int]:
    """Return the root mean square of the errors for each doubling, of sizes predicted from two or more below them."""
    errors = []
    for smaller, number in pairwise(distinct[1:]):
        (predicted,) = model(refitted(workload, sizes.below(number)), [int(number)])
        measured = float(np.median(sizes.seconds[sizes.ranks == number]))
        errors.append(math.log(predicted / measured) / math.log2(number / smaller))
    return math.sqrt(float(np.mean(np.square(errors)))), len(errors)


def _resampled(sizes: Sizes, runs: Mapping[int, Array]) -> list[Sizes]:
    """Return the sizes as they would be with other runs: drawn with replacement within each size."""
    random = np.random.default_rng(0)
    factors = {
        number: np.median(random.choice(own, size=(RESAMPLES, len(own))), axis=1) / np.median(own)
        for number, own in sorted(runs.items())
    }
    of_size = np.stack([factors[int(number)] for number in sizes.ranks], axis=1)
    return [sizes._replace(seconds=sizes.seconds * drawn) for drawn in of_size]
