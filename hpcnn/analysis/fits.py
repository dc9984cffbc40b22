"""Amdahl's, Gustafson's, Gunther's and further laws fitted to the measured times of a series, with intervals.

A fit is made to the medians over runs at each size, in relative terms: a second matters as much as it is large. Its
intervals come from a bootstrap that resamples **whole runs** within each size, since the epochs of one run are not
independent of each other. Points that do not suffice for a fit get the
reason instead. Must not import files or figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.fit_checks import ambiguous_sizes, contradicts, interval_remarks, too_few_sizes
from hpcnn.analysis.laws import LAWS, RIVALS, Law, peak
from hpcnn.analysis.series import runs_of, scaling_series
from hpcnn.stats.medians import CONFIDENCE
from hpcnn.stats.nnls import solve_nnls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpcnn.analysis.laws import Times
    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Array

RESAMPLES = 2000
# A law whose criterion is larger than the best one's by more has essentially no support (Burnham and Anderson, Model
# Selection and Multimodel Inference, 2002, section 2.6).
_FAR = 10.0
# Squares of relative deviations below this are rounding.
_ROUNDING = 1e-16

Value = tuple[float, float, float]


@dataclass(frozen=True)
class Fit:
    """One law fitted to one series, or why it could not be.

    model: "amdahl", "gustafson", "usl", "ring", "tree" or "jitter". parameters: name to (value, low, high), bounds NaN
    without an interval. peak: (ranks, low, high) of the largest throughput by the USL, a bound infinite where some
    resample has no peak; None if there is no peak, or for another law. refused: why there is no fit, in words, else
    None. remarks: limits of the numbers. confidence: nominal, of all intervals. largest_deviation: of a measured median
    from the fit, relative. lack_of_fit: the p value of "the sizes deviate from the law by no more than repeats do";
    where it is small, the law does not stand and there is no interval. aicc: of the law, to compare with others of the
    same runs (the smaller, the better). left_out_error: of the largest size as predicted from the others, relative.
    """

    model: str
    parameters: Mapping[str, Value]
    peak: Value | None
    refused: str | None
    remarks: tuple[str, ...] = ()
    confidence: float = CONFIDENCE
    largest_deviation: float = np.nan
    lack_of_fit: float = np.nan
    aicc: float = np.nan
    left_out_error: float = np.nan
    base_ranks: int = 1
    law: Law | None = field(default=None, repr=False)
    coefficients: Array | None = field(default=None, repr=False)
    resampled: Array | None = field(default=None, repr=False)
    level: float = field(default=np.nan, repr=False)
    most_ranks: float = field(default=np.inf, repr=False)
    plausible: tuple[Fit, ...] = field(default=(), repr=False)

    @property
    def is_refuted(self) -> bool:
        """Return whether the sizes deviate from the law by more than repeats of one do."""
        return self.lack_of_fit < 1 - CONFIDENCE

    def __str__(self) -> str:
        """Return the fit in one line: its parameters and peak with their intervals, or why there is none."""
        if self.refused is not None:
            return f"{self.model}: no fit: {self.refused}"
        parts = [f"{name.replace('_', ' ')} {_value_text(value)}" for name, value in self.parameters.items()]
        parts += [] if self.peak is None else [f"peak at {_value_text(self.peak)} ranks"]
        remarks = "".join(f"; {remark}" for remark in self.remarks)
        deviation = f"medians at most {self.largest_deviation:.1%} from the fit{self._left_out()}"
        return f"{self.model}: {', '.join(parts)}; {deviation}{remarks}"

    def _left_out(self) -> str:
        if np.isnan(self.left_out_error):
            return ""
        return f", the largest size, predicted from the others, {self.left_out_error:+.1%} off"

    def curve(self, ranks: Sequence[int]) -> pd.DataFrame:
        """Return the fitted curve at ``ranks``, one row each, with pointwise bounds (NaN without an interval).

        The bounds hold those of all laws that stand and are not far less likely, and of the USL, which allows for what
        does not show yet; beyond the measured sizes there are none without a fit of the USL. Columns: ``ranks``;
        ``speedup``, ``low``, ``high``: relative to the series' smallest size (for weak scaling the scaled speed-up);
        ``seconds``, ``seconds_low``, ``seconds_high``: of an epoch. Raises ValueError for a fit that was refused.
        """
        return self._widened(self._own_curve(ranks))

    def _own_curve(self, ranks: Sequence[int]) -> pd.DataFrame:
        if self.law is None or self.coefficients is None:
            raise ValueError(f"there is no {self.model} fit: {self.refused}")
        p = np.asarray(ranks, dtype="float64")
        speedup, seconds = _speedup_and_seconds(self.law, self.coefficients, p, self.base_ranks)
        table = {"ranks": list(ranks), "speedup": speedup, "low": np.nan, "high": np.nan, "seconds": seconds}
        table |= {"seconds_low": np.nan, "seconds_high": np.nan}
        if self.resampled is not None:
            speedups, times = _speedup_and_seconds(self.law, self.resampled, p, self.base_ranks)
            table["low"], table["high"] = np.quantile(speedups, [self.level, 1 - self.level], axis=0)
            table["seconds_low"], table["seconds_high"] = np.quantile(times, [self.level, 1 - self.level], axis=0)
        return pd.DataFrame(table)

    def _widened(self, curve: pd.DataFrame) -> pd.DataFrame:
        """Return a curve whose band holds those of all plausible laws; beyond the measured sizes none without the USL.

        The law was chosen by the data that it was fitted to, so its own band is too narrow where another law stands.
        """
        if self.resampled is None or not self.plausible:
            return curve
        bands = [curve, *(fit._own_curve(curve["ranks"].tolist()) for fit in self.plausible)]
        unknown = (curve["ranks"] > self.most_ranks) & (not any(fit.model == "usl" for fit in self.plausible))
        for low, high in (("low", "high"), ("seconds_low", "seconds_high")):
            lowest, highest = _hull(bands, low, high)
            curve[low] = pd.Series(lowest, curve.index).mask(unknown)
            curve[high] = pd.Series(highest, curve.index).mask(unknown)
        return curve


def _hull(bands: Sequence[pd.DataFrame], low: str, high: str) -> tuple[Array, Array]:
    return np.min([band[low] for band in bands], axis=0), np.max([band[high] for band in bands], axis=0)


class FittedSeries(NamedTuple):
    """One series: its label, its rows in the scaling table, and the fits of the laws of its kind."""

    label: str
    rows: pd.DataFrame
    fits: list[Fit]


def fits(data: RunData, table: pd.DataFrame, warmup: int = 1) -> list[FittedSeries]:
    """Return each strong or weak series of a scaling ``table`` with its fits. The same input gives the same numbers."""
    return [FittedSeries(label, rows, fit_series(data, rows, warmup)) for label, rows in scaling_series(table)]


def fit_series(data: RunData, rows: pd.DataFrame, warmup: int = 1) -> list[Fit]:
    """Return the fits to ``rows``, one series of a scaling table: strong Amdahl and USL, weak Gustafson and USL."""
    kind = str(rows["kind"].iloc[0])
    refused = ambiguous_sizes(rows)
    if refused:
        return [Fit(law.name, {}, None, refused) for law in LAWS if law.kind == kind]
    return fit_times(times_of(runs_of(data, rows, warmup)), kind)


def times_of(runs: pd.DataFrame) -> Times:
    """Return ranks to the runs' own median epoch times (s), both in ascending order."""
    sizes = sorted(runs["ranks"].unique().tolist())
    return {ranks: np.sort(runs.loc[runs["ranks"] == ranks, "seconds"].to_numpy("float64")) for ranks in sizes}


def fit_times(times: Times, kind: str, resamples: int = RESAMPLES) -> list[Fit]:
    """Return the fits of the laws of ``kind`` ("strong" or "weak") to ``times`` (ranks to seconds of each run)."""
    ordered = {ranks: np.sort(np.asarray(times[ranks], dtype="float64")) for ranks in sorted(times)}
    classic = [fit_law(law, ordered, resamples) for law in LAWS if law.kind == kind]
    rivals = [fit_law(law, ordered, resamples) for law in RIVALS if law.kind == kind]
    found = [classic[0], *(fit for fit in rivals if fit.refused is None), *classic[1:]]
    return [replace(fit, plausible=_plausible(found)) for fit in found]


def compared(found: Sequence[Fit]) -> str | None:
    """Return how the laws of one series compare, the likeliest first; None with fewer than two to compare."""
    known = sorted((fit for fit in found if np.isfinite(fit.aicc)), key=lambda fit: fit.aicc)
    if len(known) < 2:
        return None
    weights = np.exp([(known[0].aicc - fit.aicc) / 2 for fit in known])
    each = [
        f"{fit.model} {weight:.0%}{'' if np.isnan(fit.left_out_error) else f' ({fit.left_out_error:+.1%})'}"
        for fit, weight in zip(known, weights / weights.sum(), strict=True)
    ]
    refuted = [fit.model for fit in known if fit.is_refuted]
    said = f"; refuted by the noise of repeats: {', '.join(refuted)}" if refuted else ""
    none = "; so none of them stands" if len(refuted) == len(known) else ""
    return f"Akaike weights (and the error of the largest size, left out): {', '.join(each)}{said}{none}"


def _plausible(found: Sequence[Fit]) -> tuple[Fit, ...]:
    """Return the fits whose bands count: those that stand and are not far less likely than the best, and the USL's."""
    standing = [fit for fit in found if fit.resampled is not None]
    best = min((fit.aicc for fit in standing), default=np.inf)
    return tuple(fit for fit in standing if fit.model == "usl" or fit.aicc <= best + _FAR)


def fit_law(law: Law, times: Times, resamples: int = RESAMPLES) -> Fit:
    """Return ``law`` fitted to ``times`` (ranks, ascending, to seconds of each run, ascending)."""
    refused = too_few_sizes(law, times) or contradicts(law, times)
    if refused:
        return Fit(law.name, {}, None, refused)
    ranks = np.array(list(times), dtype="float64")
    runs = np.array([len(seconds) for seconds in times.values()])
    medians = np.array([np.median(seconds) for seconds in times.values()])
    (coefficients,) = _solve(law, ranks, medians[None], runs)
    values = law.values(coefficients)
    if not np.isfinite(values).all():
        return Fit(law.name, {}, None, "the times rise with the ranks from the first: nothing of them is parallel")
    lack = lack_of_fit(law, times)
    resampled, level, remarks = None, np.nan, (*interval_remarks(times), *_refuted(lack))
    if not remarks:
        resampled, level = _solve(law, ranks, _resampled(times, resamples), runs), _quantile_level(runs)
    deviation = np.abs(law.seconds(ranks, coefficients) / medians - 1).max()
    found = None if law.name != "usl" else peak(values)
    return Fit(
        model=law.name,
        parameters=_with_bounds(law, values, resampled, level),
        peak=None if found is None else _peak(float(found), law, resampled, level),
        refused=None,
        remarks=(*remarks, *_peak_remarks(found, ranks)),
        largest_deviation=float(deviation),
        lack_of_fit=lack,
        aicc=_aicc(law, times, coefficients),
        left_out_error=_left_out_error(law, times),
        base_ranks=int(ranks[0]),
        most_ranks=float(ranks[-1]),
        law=law,
        coefficients=coefficients,
        resampled=resampled,
        level=level,
    )


def lack_of_fit(law: Law, times: Times) -> float:
    """Return the p value of the F test of lack of fit (Draper and Smith, Applied Regression Analysis, section 2.1).

    The deviations of the sizes' means from ``law``, in logarithms, against those of the runs from their size's mean.
    NaN where a size has too few runs, or there are no more sizes than coefficients.
    """
    from scipy.stats import f

    logs = [np.log(seconds) for seconds in times.values()]
    ranks, runs = np.array(list(times), dtype="float64"), np.array([len(own) for own in logs])
    means = np.array([own.mean() for own in logs])
    basis = law.basis(ranks)
    of_sizes, of_runs = len(ranks) - basis.shape[1], int((runs - 1).sum())
    if of_sizes < 1 or of_runs < 1:
        return float("nan")
    (coefficients,) = _solve(law, ranks, np.exp(means)[None], runs)
    deviations = (runs * (means - np.log(law.seconds(ranks, coefficients))) ** 2).sum() / of_sizes
    noise = sum(((own - mean) ** 2).sum() for own, mean in zip(logs, means, strict=True)) / of_runs
    if deviations < _ROUNDING:
        return 1.0
    return float(f.sf(deviations / noise, of_sizes, of_runs)) if noise > 0 else 0.0


def _refuted(lack: float) -> tuple[str, ...]:
    if not lack < 1 - CONFIDENCE:
        return ()
    return (
        f"no interval: the sizes deviate from the law by more than repeats of one do (p {lack:.2g}), so it does not "
        "stand, and what it says of other sizes is no prediction",
    )


def _aicc(law: Law, times: Times, coefficients: Array) -> float:
    """Return Akaike's criterion with Hurvich and Tsai's correction (Biometrika 76, 1989), of the runs' logarithms."""
    fitted = law.seconds(np.array(list(times), dtype="float64"), coefficients)
    residuals = np.concatenate([np.log(own / at) for own, at in zip(times.values(), fitted, strict=True)])
    n, unknowns = len(residuals), len(coefficients) + 1
    if n <= unknowns + 1:
        return float("nan")
    variance = max(float((residuals**2).mean()), _ROUNDING)
    return float(n * np.log(variance) + 2 * unknowns + 2 * unknowns * (unknowns + 1) / (n - unknowns - 1))


def _left_out_error(law: Law, times: Times) -> float:
    *smaller, largest = times
    if len(smaller) < len(law.basis(np.array([1.0]))[0]):
        return float("nan")
    medians = np.array([np.median(times[p]) for p in smaller])
    runs = np.array([len(times[p]) for p in smaller])
    (coefficients,) = _solve(law, np.array(smaller, dtype="float64"), medians[None], runs)
    predicted = law.seconds(np.array([float(largest)]), coefficients)[0]
    return float(predicted / np.median(times[largest]) - 1)


def _value_text(value: Value) -> str:
    found, low, high = value
    if np.isnan(low):
        return f"{found:.3g}"
    bound = "no bound" if np.isinf(high) else f"{high:.3g}"
    return f"{found:.3g} ({CONFIDENCE:.0%}: {low:.3g}..{bound})"


def _speedup_and_seconds(law: Law, coefficients: Array, ranks: Array, base_ranks: int) -> tuple[Array, Array]:
    """Return speed-up relative to ``base_ranks``, and seconds an epoch, at ``ranks``."""
    seconds = law.seconds(ranks, coefficients)
    base = law.seconds(np.array([base_ranks], dtype="float64"), coefficients)
    work = ranks / base_ranks if law.kind == "weak" else np.ones_like(ranks)
    return work * base / seconds, seconds


def _solve(law: Law, ranks: Array, medians: Array, runs: Array) -> Array:
    """Return the coefficients (s x m) that fit ``medians`` (s x k) best: least squares of relative deviations.

    A median over n runs weighs n times that of one. Coefficients are not negative: no law has a negative cost.
    """
    weight = np.sqrt(runs)
    relative = medians if law.of_rate else 1 / medians
    return solve_nnls(law.basis(ranks)[None] * (relative * weight)[..., None], weight)


def _resampled(times: Times, resamples: int) -> Array:
    """Return the medians (s x k) over runs drawn with replacement within each size."""
    random = np.random.default_rng(0)
    drawn = [random.choice(seconds, size=(resamples, len(seconds))) for seconds in times.values()]
    return np.stack([np.median(sample, axis=1) for sample in drawn], axis=1)


def _quantile_level(runs: Array) -> float:
    """Return the quantile of the resamples that is the lower bound of an interval.

    Percentiles of a bootstrap of few runs are too narrow: a sample of n has (n-1)/n of the variance. This is the
    expanded percentile interval of T. Hesterberg, "What Teachers Should Know About the Bootstrap" (The American
    Statistician 69, 2015, section 5.3), with the fewest runs of a size as n, and Student's t for all runs.
    """
    from scipy.stats import norm, t

    fewest = runs.min()
    wide = np.sqrt(fewest / (fewest - 1)) * t.ppf((1 + CONFIDENCE) / 2, (runs - 1).sum())
    return float(norm.cdf(-wide))


def _with_bounds(law: Law, values: Array, resampled: Array | None, level: float) -> dict[str, Value]:
    if resampled is None:
        return {name: (float(value), np.nan, np.nan) for name, value in zip(law.parameters, values, strict=True)}
    low, high = _quantiles(law.values(resampled), level)
    return {
        name: (float(value), float(below), float(above))
        for name, value, below, above in zip(law.parameters, values, low, high, strict=True)
    }


def _quantiles(values: Array, level: float) -> Array:
    # By rank, not by interpolation: between a finite value and an infinite one there is none.
    return np.quantile(values, [level, 1 - level], axis=0, method="nearest")


def _peak(found: float, law: Law, resampled: Array | None, level: float) -> Value | None:
    if not np.isfinite(found):
        return None
    if resampled is None:
        return found, np.nan, np.nan
    low, high = _quantiles(peak(law.values(resampled)), level)
    return found, float(low), float(high)


def _peak_remarks(found: Array | None, ranks: Array) -> tuple[str, ...]:
    if found is None or found <= ranks[-1]:
        return ()
    if not np.isfinite(found):
        return ("the fit has no peak: no coherency cost shows in the measured sizes",)
    return (f"the peak is extrapolated: it lies beyond the largest measured size, {ranks[-1]:,.0f} ranks",)
