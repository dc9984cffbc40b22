"""The summary of a report in a few sentences: what was measured, the best result, doubts, and accuracy and losses.

No sentence claims more than the tables: a ratio comes with its base case and its interval, or with the remark that it
has none. Must not import the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.base import row_name
from hpcnn.analysis.columns import text_or
from hpcnn.analysis.scaling import TABLE
from hpcnn.analysis.series import settings_of
from hpcnn.figures.scaling.points import Series, scaling_kind, series_in
from hpcnn.report.views.rules import LEAST_COVERAGE
from hpcnn.stats.rank_tests import values_needed
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcnn.analysis.diagnose import Finding
    from hpcnn.util.types import Json

_LISTED = 3


def sentences(table: pd.DataFrame, left_out: int, found: Sequence[Finding], doubts: int = 0) -> list[str]:
    """Return a few sentences on a scaling ``table``, the number of runs ``left_out``, and the ``found`` findings.

    doubts: rows of which the table of quality doubts the repeats.
    """
    if table.empty:
        return ["No run can be counted.", f"{_capital(counted(left_out, 'run'))} left out, each with its reason below."]
    rows = f"{counted(doubts, 'row')} of the table"
    doubted = [f"The repeats of {rows} are in doubt: see the quality of this measurement."] if doubts else []
    return [_measured(table, left_out), _result(table), *doubted, _quality(table, found)]


def _measured(table: pd.DataFrame, left_out: int) -> str:
    runs = counted(int(table["runs"].sum()), "run")
    models = _listed(table["model"].fillna(table["program"]))
    low, high = int(table["ranks"].min()), int(table["ranks"].max())
    ranks = f"{low:,} to {high:,} ranks" if low < high else counted(low, "rank")
    of_gpus = table["device"].where(table["device"].ne("CPU"))
    machine = _listed(of_gpus.fillna(table["cpu_model"]), "an unknown processor")
    out = "none was left out" if not left_out else f"{left_out:,} more are left out, each with its reason"
    return f"{runs} of {models} on {ranks} ({machine}) are counted; {out}."


def _result(table: pd.DataFrame) -> str:
    """Return the result of the largest size of the longest series; without a series, of the fastest row."""
    best: tuple[tuple[int, int], Series] | None = None
    for _, part in table.groupby(TABLE, dropna=False):
        if scaling_kind(part) is None:
            continue
        for series in series_in(part)[0]:
            size = len(series.rows), int(series.rows["ranks"].max())
            if len(series.rows) > 1 and (best is None or size > best[0]):
                best = size, series
    if best is None:
        return _fastest(table)
    series = best[1]
    row = series.rows.astype(object).iloc[-1]
    efficiency = float(row["efficiency"])
    what = f"a speed-up of {row['speedup']:.2f}, " if row["kind"] == "strong" else ""
    coverage = row["ratio_coverage"]
    if pd.isna(coverage) or coverage < LEAST_COVERAGE:
        runs = min(int(row["runs"]), int(series.bases["runs"].iloc[-1]))
        interval = (
            f". Only {counted(runs, 'run')} of a size: no meaningful interval ({values_needed()} are needed for 95 %)"
        )
    else:
        ends = f"{row['efficiency_low']:.1%} to {row['efficiency_high']:.1%}"
        interval = f", with a {coverage:.1%} interval of {ends}"
    series_name = f", {series.label}" if series.label else ""
    return (
        f"{text_or(row['study'], 'Runs of no study')}, {row['kind']} scaling{series_name}: an epoch took "
        f"{significant(row['epoch_seconds_median'])} s on {_placed(row, series)}, "
        f"{what}an efficiency of {efficiency:.1%} over the base case of {row['base_case']}{interval}.{_advice(series)}"
    )


def _placed(row: pd.Series[Json], series: Series) -> str:
    """Return the ranks of a row, with its nodes where the series has that many ranks on other nodes too."""
    ranks = counted(int(row["ranks"]), "rank")
    several = (series.rows["ranks"] == row["ranks"]).sum() > 1 and not pd.isna(row["nodes"])
    return f"{ranks} on {counted(int(row['nodes']), 'node')}" if several else ranks


def _advice(series: Series) -> str:
    """Return which size to use, where more ranks are no faster; empty where the largest size is the fastest."""
    rows = series.rows
    best, largest = rows.iloc[int(rows["images_per_second"].argmax())], rows.iloc[-1]
    if best["ranks"] == largest["ranks"]:
        return ""
    slower = counted(int(largest["ranks"]), "rank")
    return f" {_capital(slower)} are slower here than {counted(int(best['ranks']), 'rank')}: use {best['ranks']}."


def _fastest(table: pd.DataFrame) -> str:
    label = table["images_per_second"].idxmax()
    row = dict(table.loc[[label]].astype(object).to_dict("records")[0])
    name = row_name(table, label, settings_of(table))
    rate = significant(row["images_per_second"])
    if len(table) == 1:
        return f"One configuration, {name}: {rate} images/s, {significant(row['epoch_seconds_median'])} s per epoch."
    return f"Of {counted(len(table), 'configuration')}, {name} was the fastest: {rate} images/s."


def _quality(table: pd.DataFrame, found: Sequence[Finding]) -> str:
    accuracy = table["test_accuracy"].dropna()
    if accuracy.empty:
        quality = "No test accuracy is recorded, so speed stands alone"
    else:
        low, high = accuracy.min(), accuracy.max()
        ends = f"{low:.2%}" if f"{low:.2%}" == f"{high:.2%}" else f"{low:.2%} to {high:.2%}"
        some = "" if len(accuracy) == len(table) else f" in the {len(accuracy)} of {len(table)} rows that record it"
        quality = f"The test accuracy after the last epoch was {ends}{some} (medians over runs)"
    if not found:
        return f"{quality}."
    first = found[0]
    return f"{quality}; the costliest reason found for what was lost is {_NAMES_OF_KINDS[first.kind]} ({first.where})."


_NAMES_OF_KINDS = {
    "input": "input",
    "latency": "the latency of communication",
    "bandwidth": "the bandwidth of communication",
    "communication": "communication",
    "imbalance": "imbalance of the ranks",
    "oversubscription": "more threads than cores",
    "compute": "computing that slows down",
    "overhead": "the overhead of a step",
    "superlinear": "none, for a row is better than ideal: its base case is in doubt",
    "unsplit": "not known, as the runs do not say where their time goes",
}


def _listed(values: pd.Series[Json], unknown: str = "an unknown program") -> str:
    names = sorted({text_or(value, unknown) for value in values})
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
