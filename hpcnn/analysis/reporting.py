"""Which rules for reports of measurements a scaling table meets, and why not the others.

The rules are the twelve of Hoefler and Belli ("Scientific Benchmarking of Parallel Computing Systems", SC15) in the
form that tables of trainings need, and those of MLPerf that concern them. Some hpcnn's own code meets in every table;
the runs decide on the others. Must not import formats or views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from hpcnn.analysis.measured import left_out
from hpcnn.analysis.table_runs import provenance_of, runs_of_table
from hpcnn.stats.medians import CONFIDENCE, runs_needed
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from hpcnn.analysis.load import RunData

YES, PARTLY, NO, OPEN = "yes", "partly", "no", "does not apply"
# Facts of provenance that a reader needs to repeat a run, and what a report calls them.
_DOCUMENTED = {
    "cpu_model": "processor",
    "host": "hosts",
    "hpcnn": "version of hpcnn",
    "version_tensorflow": "version of TensorFlow",
    "version_mpi": "MPI library",
}
# An interval that holds the truth less often says nothing.
_LEAST_COVERAGE = 0.9


class _Rule(NamedTuple):
    """A rule: where it is from (H: Hoefler and Belli, M: MLPerf), what it asks, whether it is met, and why."""

    source: str
    asks: str
    met: str
    why: str


def rules_table(
    data: RunData, table: pd.DataFrame, warmup: int = 1, confidence: float = CONFIDENCE, drop_outliers: bool = False
) -> pd.DataFrame:
    """Return one row a rule: ``rule`` (its number), ``source``, ``asks``, ``met`` and ``why``.

    ``met``: yes, partly (some rows, or some of what it asks), no, or does not apply. The arguments are those with which
    the scaling ``table`` of ``data`` was made.
    """
    runs, _ = runs_of_table(data, table, warmup)
    out = len(left_out(data, warmup))
    rules = [
        _Rule("H1", "base case of each speed-up, and its absolute time", YES, "each row names it"),
        _Rule("H2", "all configurations, or why not", YES, f"{counted(out, 'run')} left out, each with its reason"),
        _Rule("H3", "rates by work over time, no averages", YES, "images/s: one over the median seconds of a sample"),
        _Rule("H4", "no averages of ratios", YES, "ratios of medians, taken last"),
        _intervals(table),
        _enough_runs(table, confidence),
        _compared(table, confidence),
        _Rule("H8", "percentiles", YES, "5 % and 95 % of all measured epochs"),
        _documented(runs),
        _Rule("H10", "how ranks are summarised", YES, "the slowest rank of each epoch"),
        _bounds(table),
        _Rule("H12", "intervals at points, lines only where values between have a meaning", YES, "in all figures"),
        _warm_up(table, warmup, drop_outliers),
        _kinds(table),
        _clock(data, runs),
        _seeds(table, runs),
        _Rule("", "whole runs are the repeats, not epochs", YES, "intervals are over runs"),
    ]
    found = pd.DataFrame(rules, columns=_Rule._fields, dtype="string")
    found.insert(0, "rule", range(1, len(found) + 1))
    return found


def _share(fine: pd.Series[bool]) -> str:
    """Return whether all rows, some, or none are fine."""
    return YES if fine.all() else PARTLY if fine.any() else NO


def _intervals(table: pd.DataFrame) -> _Rule:
    fine = table["interval_coverage"].astype("float64").ge(_LEAST_COVERAGE)
    met = _share(fine)
    rest = len(fine) - int(fine.sum())
    why = "of each median" if met == YES else f"{counted(rest, 'row')} without an interval of {_LEAST_COVERAGE:.0%}"
    return _Rule("H5", "intervals of what varies", met, why)


def _enough_runs(table: pd.DataFrame, confidence: float) -> _Rule:
    needed = runs_needed(confidence)
    fewest = int(table["runs"].min())
    met = _share(table["runs"] >= needed)
    why = "exact, by rank" if met == YES else f"{counted(fewest, 'run')} where {needed} are needed"
    return _Rule("H6", f"no assumed distribution, and runs enough for {100 * confidence:.4g} %", met, why)


def _compared(table: pd.DataFrame, confidence: float) -> _Rule:
    others = table[~table["base"]]
    asks = "a test or an interval for each comparison"
    if others.empty:
        return _Rule("H7", asks, OPEN, "there is one size")
    met = _share(others["ratio_coverage"].astype("float64").ge(confidence))
    return _Rule("H7", asks, met, "of speed-up and efficiency" if met == YES else "too few runs of both sizes")


def _documented(runs: pd.DataFrame) -> _Rule:
    lacking = [name for key, name in _DOCUMENTED.items() if key not in runs or runs[key].isna().any()]
    slurm = [provenance_of(path).get("slurm") for path in runs.groupby("row")["path"].first()]
    if not all(slurm):
        lacking.append("batch system (some runs were not of a job)" if any(slurm) else "batch system (none was used)")
    lacking.append("network (state it where you publish)")
    met = PARTLY if len(lacking) < len(_DOCUMENTED) else NO
    return _Rule("H9", "hardware, software, network, allocation", met, f"not recorded: {', '.join(lacking)}")


def _bounds(table: pd.DataFrame) -> _Rule:
    several = table[table["ranks"] > 1]
    asks = "bounds: ideal, and a measured ceiling"
    if several.empty:
        return _Rule("H11", asks, OPEN, "there is one rank")
    met = _share(several["ceiling_images_per_second"].notna())
    why = "ideal is drawn" + ("" if met == YES else "; some rows have no runs with --no-communication")
    return _Rule("H11", asks, met if met == YES else PARTLY, why)


def _warm_up(table: pd.DataFrame, warmup: int, drop_outliers: bool) -> _Rule:
    outliers = int(table["outliers"].sum())
    told = f"{counted(outliers, 'outlier')} {'left out' if drop_outliers else 'kept'}"
    if not table["outliers_testable"].any():
        told = "outliers not testable with so few epochs"
    met = YES if warmup else NO
    why = f"{counted(warmup, 'epoch')} left out; {told}" if warmup else f"no epoch is left out; {told}"
    return _Rule("", "warm-up left out, outliers counted", met, why)


def _kinds(table: pd.DataFrame) -> _Rule:
    met = _share(table["kind"].isin(["strong", "weak"]))
    why = "checked that what must stay constant did" if met == YES else "some rows are of no study of either kind"
    return _Rule("", "strong or weak scaling, and which", met, why)


def _clock(data: RunData, runs: pd.DataFrame) -> _Rule:
    epochs = data.epochs[data.epochs["path"].isin(runs["path"])]
    met = _share(epochs["seconds_since_start"].notna())
    why = "to each epoch's end, evaluations included" if met == YES else "some runs did not record it"
    return _Rule("M", "a clock that never stops, from the start of training", met, why)


def _seeds(table: pd.DataFrame, runs: pd.DataFrame) -> _Rule:
    seeds = runs.groupby("row")["seed"].nunique().reindex(table.index).fillna(0)
    accurate = table["test_accuracy"].notna()
    lacking = [] if accurate.all() else ["a test accuracy in some rows"]
    lacking += [] if (seeds > 1).all() else ["several seeds in some rows"]
    met = _share(accurate & (seeds > 1))
    why = f"without {' and '.join(lacking)}" if lacking else "in each row"
    return _Rule("M", "several seeds; quality beside speed", met, why)
