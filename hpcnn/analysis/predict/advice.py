"""Advice on what to measure next within a budget of core-hours, to narrow intervals and fits most.

A rule of three steps that one can follow by hand, for each series of a table:

1. **size**: where a law needs more sizes, measure one: the double of the largest, else the middle of the widest gap.
2. **interval**: bring each row to the six runs that a 95 % interval of the median needs, the cheapest row first: that
   gives the most intervals for a core-hour.
3. **narrow**: after that, spend the rest on the one size, a measured one or the double of the largest,
   that narrows the peak (or the serial fraction) most for it; of a measured size at most as many runs as there are.
   The standard error is that of the weighted least squares fit (a c-optimal design; A. C. Atkinson et al., Optimum
   Experimental Designs, Oxford 2007, chapter 10), with the same relative noise at all sizes.

No suggestion has more ranks than the machine (``capacity.py``). Must not import views.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.analysis.fit_checks import RUNS_FOR_BANDS
from hpcnn.analysis.fits import Fit, fit_times, times_of
from hpcnn.analysis.laws import LAWS, peak
from hpcnn.analysis.predict.capacity import capacity
from hpcnn.analysis.series import runs_of, scaling_series
from hpcnn.stats.medians import runs_needed
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from hpcnn.analysis.laws import Law
    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Array

# What a 95 % interval of the median needs (Hoefler and Belli, SC15, rule 6).
RUNS_FOR_INTERVAL = runs_needed()


@dataclass(frozen=True)
class Suggestion:
    """One measurement: ``runs`` more on ``ranks`` of the series ``label``, at the cost of ``core_hours``.

    reason: "size", "interval" or "narrow". words: its use. narrowing: of the interval in question, as a
    fraction, NaN where that is not the reason. affordable: whether the budget allows it, after those before it.
    """

    label: str
    ranks: int
    runs: int
    core_hours: float
    reason: str
    words: str
    narrowing: float = np.nan
    affordable: bool = True


def next_measurement(data: RunData, table: pd.DataFrame, budget_core_hours: float, warmup: int = 1) -> list[Suggestion]:
    """Return measurements that together cost at most ``budget_core_hours``, in the order of the rule.

    Where nothing fits, the one suggestion is the cheapest, and not ``affordable``. Raises ValueError for a budget
    that is not positive.
    """
    if not budget_core_hours > 0:
        raise ValueError(f"budget: {budget_core_hours} is not a number of core-hours above 0")
    series = [
        _Series(label, runs_of(data, rows, warmup), rows, capacity(data, rows, warmup).ranks)
        for label, rows in scaling_series(table)
    ]
    left = budget_core_hours
    chosen: list[Suggestion] = []
    for suggestion in (*(s for one in series for s in one.sizes()), *(s for one in series for s in one.intervals())):
        # One new size a series: the choice of the next depends on the result of this one.
        grown = suggestion.reason == "size" and any(suggestion.label == other.label for other in chosen)
        if not grown and suggestion.core_hours <= left:
            chosen.append(suggestion)
            left -= suggestion.core_hours
    for one in series:
        best = one.narrowing(left)
        if best is not None:
            chosen.append(best)
            left -= best.core_hours
    return chosen or _cheapest(series)


def limits(data: RunData, table: pd.DataFrame, warmup: int = 1) -> list[str]:
    """Return a sentence for each machine that has too few ranks for the next size, or of which nobody says how many."""
    lines: dict[str, None] = {}
    for _, rows in scaling_series(table):
        found = capacity(data, rows, warmup)
        doubled = 2 * int(rows["ranks"].max())
        if found.ranks < doubled:
            lines[f"No more than {counted(int(found.ranks), 'rank')}: {found.words}."] = None
        elif np.isinf(found.ranks):
            lines[f"Check that the machine has {counted(doubled, 'rank')}: {found.words}."] = None
    return list(lines)


def _cheapest(series: list[_Series]) -> list[Suggestion]:
    """Return the cheapest of all that is worth measuring, for a budget that allows none of it."""
    wanted = [suggestion for one in series for suggestion in (*one.sizes(), *one.intervals(), *one.repeats())]
    if not wanted:
        return []
    return [replace(min(wanted, key=lambda one: one.core_hours), affordable=False)]


class _Series:
    """One series: what its runs cost, and which sizes and repeats it lacks."""

    def __init__(self, label: str, runs: pd.DataFrame, rows: pd.DataFrame, capacity: float) -> None:
        self.label = label
        self.kind = str(rows["kind"].iloc[0])
        self.times = times_of(runs)
        self.capacity = capacity
        self.most = min(capacity, int(rows["batch_size"].iloc[0]) if self.kind == "strong" else np.inf)
        of = runs.assign(hours=runs["job_seconds"] * runs["cores"] / 3600).groupby("ranks")
        self.hours = of["hours"].median().to_dict()
        self.cores_per_rank = float((runs["cores"] / runs["ranks"]).max())
        self.seconds = float(of["job_seconds"].median().iloc[-1])

    def intervals(self) -> Iterator[Suggestion]:
        """Yield the rows with too few runs for an interval, the cheapest to complete first."""
        short = {ranks: RUNS_FOR_INTERVAL - len(seconds) for ranks, seconds in self.times.items()}
        short = {ranks: lacking for ranks, lacking in short.items() if lacking > 0 and ranks <= self.capacity}
        for ranks in sorted(short, key=lambda ranks: short[ranks] * self._hours(ranks)):
            words = f"brings the median on {counted(ranks, 'rank')} to a 95 % interval ({RUNS_FOR_INTERVAL} runs)"
            yield self._suggestion(ranks, short[ranks], "interval", words)

    def narrowing(self, budget: float) -> Suggestion | None:
        """Return the measurement within ``budget`` core-hours that narrows the fit most, once the others are done."""
        if any(self.sizes()) or any(self.intervals()):
            return None
        within = [one for one in self.repeats(budget) if one.core_hours <= budget]
        return max(within, key=lambda one: one.narrowing, default=None)

    def _suggestion(self, ranks: int, runs: int, reason: str, words: str, narrowing: float = np.nan) -> Suggestion:
        return Suggestion(self.label, ranks, runs, runs * self._hours(ranks), reason, words, narrowing)

    def _hours(self, ranks: int) -> float:
        """Return core-hours of a run; one on ranks that were not measured is taken to last as long as on the most."""
        return float(self.hours.get(ranks, self.seconds * self.cores_per_rank * ranks / 3600))

    def sizes(self) -> Iterator[Suggestion]:
        """Yield new sizes where a law lacks some, the most telling first."""
        lacking = [law for law in LAWS if law.kind == self.kind and law.minimum_sizes > len(self.times)]
        if not lacking:
            return
        law = min(lacking, key=lambda law: law.minimum_sizes)
        missing = law.minimum_sizes - len(self.times)
        runs = max(RUNS_FOR_BANDS, *(len(seconds) for seconds in self.times.values()))
        for ranks in self._new_sizes():
            words = f"a new size: {law.name} needs {law.minimum_sizes}, {missing} more than there are"
            yield self._suggestion(ranks, runs, "size", words)

    def _new_sizes(self) -> Iterator[int]:
        sizes = list(self.times)
        if 2 * sizes[-1] <= self.most:
            yield 2 * sizes[-1]
        gaps = sorted(itertools.pairwise(sizes), key=lambda gap: -gap[1] / gap[0])
        middles = [round(np.sqrt(low * high)) for low, high in gaps]
        yield from (middle for middle in middles if middle not in sizes and middle <= self.capacity)

    def repeats(self, budget: float = 0.0) -> Iterator[Suggestion]:
        """Yield for each size as many runs as ``budget`` buys, at least one, and how much they would narrow the fit."""
        fit = next((fit for fit in reversed(fit_times(self.times, self.kind)) if fit.refused is None), None)
        if fit is None or fit.law is None or fit.coefficients is None:
            return
        doubled = 2 * max(self.times)
        measured = [ranks for ranks in self.times if ranks <= self.capacity]
        for ranks in (*measured, *([doubled] if doubled <= self.most else [])):
            most = len(self.times.get(ranks, range(RUNS_FOR_INTERVAL)))
            runs = max(1, min(most, int(budget / self._hours(ranks))))
            narrowing = self._gain(fit, fit.law, fit.coefficients, ranks, runs)
            words = f"narrows the interval of the {_target(fit)} by about {significant(100 * narrowing)} %"
            yield self._suggestion(ranks, runs, "narrow", words, narrowing)

    def _gain(self, fit: Fit, law: Law, coefficients: Array, ranks: int, runs: int) -> float:
        """Return by what fraction so many more ``runs`` on ``ranks`` lower the target's standard error."""
        sizes = np.array([*self.times, ranks], dtype="float64")
        before = np.array([*map(len, self.times.values()), 0], dtype="float64")
        after = before + np.where(np.arange(len(sizes)) == len(sizes) - 1, runs, 0.0)
        seconds = law.seconds(sizes, coefficients)
        design = law.basis(sizes) * (seconds if law.of_rate else 1 / seconds)[:, None]
        gradient = _gradient(fit, law, coefficients)
        return float(1 - np.sqrt(_variance(design, after, gradient) / _variance(design, before, gradient)))


def _target(fit: Fit) -> str:
    return "peak" if fit.peak is not None else next(iter(fit.parameters)).replace("_", " ")


def _gradient(fit: Fit, law: Law, coefficients: Array) -> Array:
    """Return the derivatives of the target by each coefficient: central differences."""
    steps = np.diag(1e-5 * np.where(coefficients > 0, coefficients, coefficients.max()))
    around = law.values(np.stack([coefficients + steps, coefficients - steps]))
    up, down = peak(around) if fit.peak is not None else around[..., 0]
    return np.asarray((up - down) / (2 * steps.diagonal()), dtype="float64")


def _variance(design: Array, runs: Array, gradient: Array) -> float:
    """Return the variance of the target for a relative noise of 1 a run: g' (X' N X)^-1 g."""
    information = design.T @ (design * runs[:, None])
    return float(gradient @ np.linalg.pinv(information) @ gradient)
