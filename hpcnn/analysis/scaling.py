"""Scaling tables: epoch times summarised over runs, and then compared with a base case.

Pure functions from tables to tables. The order is that of Hoefler and Belli (SC15): rates are sums of work over sums
of time (rule 3), and ratios are taken last, of summarised times, never averaged (rule 4). Must not import formats or
views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.base import SIZE, base_case, base_of_rows, check_constant
from hpcnn.analysis.configuration import SETTINGS, TABLE, configured
from hpcnn.analysis.measured import counted_runs, epoch_times
from hpcnn.analysis.ratios import with_ratios
from hpcnn.analysis.summary import kept_times, summarised, with_ceiling, with_own_medians
from hpcnn.analysis.units import with_units
from hpcnn.stats.medians import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpcnn.analysis.load import RunData

__all__ = ["SETTINGS", "SIZE", "TABLE", "scaling_table", "strong_scaling", "weak_scaling"]


def scaling_table(
    data: RunData,
    base: Mapping[str, str] | None = None,
    warmup: int = 1,
    confidence: float = CONFIDENCE,
    drop_outliers: bool = False,
    by: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return one row a configuration: everything that defines a run except its repeat and seed.

    Columns: those of TABLE, SETTINGS and SIZE, an axis or option that varies in some table, those that
    ``summary.summarised`` adds (runs and epochs, times with their interval, rates, shares, costs of an epoch), and

    - ``speedup`` S and ``efficiency`` E, with T the median epoch time, p the ranks, and 0 the base case. Strong
      scaling: S = T0/T, E = T0 p0/(T p) (Amdahl, AFIPS 1967). Weak scaling: E = T0/T, and no S, as the
      problem is not the same one (Gustafson, CACM 1988). Otherwise S is the ratio of images per second, and
      there is no E. Both have an interval, ``_low`` to ``_high``, and ``ratio_coverage`` (see ``ratios.with_ratios``);
    - ``base`` (is this row a base case) and ``base_case`` (the one of this row, with its absolute measure).

    The base case is the smallest of the rows that differ in size alone (see ``base.base_of_rows``), or the
    one that ``base`` (column: value) names. ``confidence``: of the intervals, 0.95 for 95 %. ``drop_outliers``: leave
    out the epochs outside their run's fences (see ``measured.outlying``); they are counted either way. ``by``: the
    columns that separate tables (see ``configuration.configured``), for several studies or machines in one.

    Raises UsageError for a ``base`` that fits no row, for an invalid ``by`` or ``confidence``, and for a study whose
    rows contradict its kind (see ``base.check_constant``).
    """
    found = configured(counted_runs(data, warmup), by)
    times = epoch_times(data, warmup).merge(found.runs[["path", "row"]], on="path")
    rows = found.rows
    runs = with_own_medians(found.runs, kept_times(times, drop_outliers))
    rows = rows.assign(**summarised(rows, runs, times, confidence, drop_outliers))
    rows = with_ceiling(rows, data, [key for key in found.keys if key not in ("study", "kind")], warmup)

    for _, study in rows.groupby(TABLE, dropna=False):
        check_constant(study)
    labels = [pd.Series(dtype="int64")]
    cases: dict[int, str] = {}
    for _, table in rows.groupby(found.tables, dropna=False):
        of_rows = base_of_rows(table, found.settings, base, found.apart)
        labels.append(of_rows)
        cases |= {label: base_case(table, label, found.settings) for label in of_rows.unique()}
    of_row = pd.concat([part for part in labels if len(part)] or labels).reindex(rows.index)
    return with_units(
        with_ratios(rows, of_row, runs, confidence).assign(
            base=of_row == rows.index, base_case=of_row.map(cases).astype("string")
        )
    )


def strong_scaling(data: RunData, base: Mapping[str, str] | None = None, warmup: int = 1) -> pd.DataFrame:
    """Return the scaling table of the studies of kind strong alone."""
    return scaling_table(_of_kind(data, "strong"), base, warmup)


def weak_scaling(data: RunData, base: Mapping[str, str] | None = None, warmup: int = 1) -> pd.DataFrame:
    """Return the scaling table of the studies of kind weak alone."""
    return scaling_table(_of_kind(data, "weak"), base, warmup)


def _of_kind(data: RunData, kind: str) -> RunData:
    return data._replace(runs=data.runs[data.runs["kind"] == kind])
