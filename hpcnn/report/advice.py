"""What to measure next, within a budget of core-hours, so that the most is learned.

A rule of three steps that can be followed by hand, for each series of a table:

1. **size**: where a law lacks sizes, measure a new one: the double of the largest, else the middle of the widest gap.
2. **interval**: bring each row to the six runs that a 95 % interval of the median needs, the cheapest row first: that
   gives the most intervals for a core-hour.
3. **narrow**: with all of that there, repeat the size that narrows the peak (or the serial fraction) most for a
   core-hour. The standard error is that of the weighted least squares fit (a c-optimal design; A. C. Atkinson et al.,
   Optimum Experimental Designs, Oxford 2007, chapter 10), with the same relative noise at all sizes.

Must not know how advice is shown.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.report.fits import Fit, fit_times, times_of
from hpcnn.report.models import LAWS, peak
from hpcnn.report.refusal import RUNS_FOR_BANDS
from hpcnn.report.series import runs_of, scaling_series
from hpcnn.report.stats import runs_needed
from hpcnn.report.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from hpcnn.report.load import RunData
    from hpcnn.report.models import Array, Law

# What a 95 % interval of the median needs (Hoefler and Belli, SC15, rule 6).
RUNS_FOR_INTERVAL = runs_needed()


@dataclass(frozen=True)
class Suggestion:
    """One measurement: ``runs`` more on ``ranks`` of the series ``label``, at the cost of ``core_hours``.

    reason: "size", "interval" or "narrow". words: what it would give. narrowing: of the interval in question, as a
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
    """Return what to measure within ``budget_core_hours``, in the order of the rule; together it fits the budget.

    Where nothing does, the one suggestion is the cheapest, and not ``affordable``. Raises ValueError for a budget
    that is not positive.
    """
    if not budget_core_hours > 0:
        raise ValueError(f"budget: {budget_core_hours} is not a number of core-hours above 0")
    wanted = [
        suggestion
        for label, rows in scaling_series(table)
        for suggestion in _Series(label, runs_of(data, rows, warmup), rows).suggestions()
    ]
    wanted.sort(key=lambda one: _ORDER.index(one.reason))
    chosen, left, grown = [], budget_core_hours, set()
    for suggestion in wanted:
        # One new size a series: what the next should be depends on what that one shows.
        once = (suggestion.label, suggestion.reason)
        if suggestion.core_hours > left or (once in grown and suggestion.reason != "interval"):
            continue
        chosen.append(suggestion)
        grown.add(once)
        left -= suggestion.core_hours
    if wanted and not chosen:
        cheapest = min(wanted, key=lambda one: one.core_hours)
        return [Suggestion(**{**vars(cheapest), "affordable": False})]
    return chosen


_ORDER = ("size", "interval", "narrow")


class _Series:
    """One series, with what it cost and what it lacks."""

    def __init__(self, label: str, runs: pd.DataFrame, rows: pd.DataFrame) -> None:
        self.label = label
        self.kind = str(rows["kind"].iloc[0])
        self.times = times_of(runs)
        self.most = int(rows["batch_size"].iloc[0]) if self.kind == "strong" else np.inf
        of = runs.assign(hours=runs["job_seconds"] * runs["cores"] / 3600).groupby("ranks")
        self.hours = of["hours"].median().to_dict()
        self.cores_per_rank = float((runs["cores"] / runs["ranks"]).max())
        self.seconds = float(of["job_seconds"].median().iloc[-1])

    def suggestions(self) -> Iterator[Suggestion]:
        """Yield what each step of the rule asks for, the best of a step first."""
        yield from self._sizes()
        lacking = {ranks: RUNS_FOR_INTERVAL - len(seconds) for ranks, seconds in self.times.items()}
        short = {ranks: count for ranks, count in lacking.items() if count > 0}
        for ranks in sorted(short, key=lambda ranks: short[ranks] * self._hours(ranks)):
            words = f"brings the median on {counted(ranks, 'rank')} to a 95 % interval ({RUNS_FOR_INTERVAL} runs)"
            yield self._suggestion(ranks, short[ranks], "interval", words)
        if not short:
            yield from self._narrowing()

    def _suggestion(self, ranks: int, runs: int, reason: str, words: str, narrowing: float = np.nan) -> Suggestion:
        return Suggestion(self.label, ranks, runs, runs * self._hours(ranks), reason, words, narrowing)

    def _hours(self, ranks: int) -> float:
        """Return core-hours of a run; one on ranks that were not measured is taken to last as long as on the most."""
        return float(self.hours.get(ranks, self.seconds * self.cores_per_rank * ranks / 3600))

    def _sizes(self) -> Iterator[Suggestion]:
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
        yield from (middle for middle in middles if middle not in sizes)

    def _narrowing(self) -> Iterator[Suggestion]:
        fit = next((fit for fit in reversed(fit_times(self.times, self.kind)) if fit.refused is None), None)
        if fit is None or fit.law is None or fit.coefficients is None:
            return
        gains = []
        for ranks in self.times:
            narrowing = self._gain(fit, fit.law, fit.coefficients, ranks)
            words = f"narrows the interval of the {_target(fit)} by about {significant(100 * narrowing)} %"
            gains.append(self._suggestion(ranks, RUNS_FOR_INTERVAL, "narrow", words, narrowing))
        yield from sorted(gains, key=lambda gain: -gain.narrowing / gain.core_hours)

    def _gain(self, fit: Fit, law: Law, coefficients: Array, ranks: int) -> float:
        """Return by what fraction RUNS_FOR_INTERVAL more runs on ``ranks`` lower the target's standard error."""
        sizes = np.array(list(self.times), dtype="float64")
        runs = np.array([len(seconds) for seconds in self.times.values()], dtype="float64")
        seconds = law.seconds(sizes, coefficients)
        design = law.basis(sizes) * (seconds if law.of_rate else 1 / seconds)[:, None]
        gradient = _gradient(fit, law, coefficients)
        before = _variance(design, runs, gradient)
        after = _variance(design, runs + np.where(sizes == ranks, RUNS_FOR_INTERVAL, 0.0), gradient)
        return float(1 - np.sqrt(after / before))


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
