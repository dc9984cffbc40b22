"""Scaling tables: epoch times summarised over runs, and then compared with a base case.

Pure functions from tables to tables. The order is that of Hoefler and Belli (SC15): rates are sums of work
over sums of time (rule 3), and ratios are taken last, of summarised times, never averaged (rule 4). Must
not know files, formats or how a table is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from hpcnn.report.base import SIZE, base_case, base_of_rows, check_constant
from hpcnn.report.measured import epoch_times, left_out
from hpcnn.report.stats import CONFIDENCE
from hpcnn.report.summary import summarised, with_ceiling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpcnn.report.load import RunData

# Rows that differ in one of these are not compared: they belong to different tables.
TABLE = ["study", "kind", "model", "data", "program", "cpu_model", "device"]
# What a row of a table may set beside its size; the axes and options that vary come after these.
SETTINGS = ["strategy", "precision", "samples", "batch_size", "cpus_per_task"]

_AXES = ("point_", "train_")


def scaling_table(
    data: RunData,
    base: Mapping[str, str] | None = None,
    warmup: int = 1,
    confidence: float = CONFIDENCE,
    drop_outliers: bool = False,
) -> pd.DataFrame:
    """Return one row a configuration: everything that defines a run except its repeat and seed.

    Columns: those of TABLE, SETTINGS and SIZE, an axis or option that varies in some table, those that
    ``summary.summarised`` adds (runs and epochs, times with their interval, rates, shares, costs of an epoch), and

    - ``speedup`` S and ``efficiency`` E, with T the median epoch time, p the ranks, and 0 the base case. Strong
      scaling: S = T0/T, E = T0 p0/(T p) (Amdahl, AFIPS 1967). Weak scaling: E = T0/T, and no S, as the
      problem is not the same one (Gustafson, CACM 1988). Otherwise S is the ratio of images per second, and
      there is no E;
    - ``base`` (is this row a base case) and ``base_case`` (the one of this row, with its absolute measure).

    The base case is the smallest of the rows that differ in size alone (see ``base.base_of_rows``), or the
    one that ``base`` (column: value) names. ``drop_outliers``: leave out the epochs outside their run's fences (see
    ``measured.outlying``); they are counted either way. Raises UsageError for a ``base`` that fits no row, and for a
    study whose rows contradict its kind (see ``base.check_constant``).
    """
    rows, settings = _configurations(data, warmup, confidence, drop_outliers)
    labels = [pd.Series(dtype="int64")]
    cases: dict[int, str] = {}
    for _, table in rows.groupby(TABLE, dropna=False):
        check_constant(table)
        of_rows = base_of_rows(table, settings, base)
        labels.append(of_rows)
        cases |= {label: base_case(table, label, settings) for label in of_rows.unique()}
    of_row = pd.concat([part for part in labels if len(part)] or labels).reindex(rows.index)
    return _compared(rows, rows.loc[of_row].set_axis(rows.index)).assign(
        base=of_row == rows.index, base_case=of_row.map(cases).astype("string")
    )


def strong_scaling(data: RunData, base: Mapping[str, str] | None = None, warmup: int = 1) -> pd.DataFrame:
    """Return the scaling table of the studies of kind strong alone."""
    return scaling_table(_of_kind(data, "strong"), base, warmup)


def weak_scaling(data: RunData, base: Mapping[str, str] | None = None, warmup: int = 1) -> pd.DataFrame:
    """Return the scaling table of the studies of kind weak alone."""
    return scaling_table(_of_kind(data, "weak"), base, warmup)


def _of_kind(data: RunData, kind: str) -> RunData:
    return data._replace(runs=data.runs[data.runs["kind"] == kind])


def _configurations(
    data: RunData, warmup: int, confidence: float, drop_outliers: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return the summarised rows, in the order in which they are read, and the names of their settings."""
    out = left_out(data, warmup)
    runs = data.runs[~data.runs["path"].isin(out["path"])].rename(columns={"world_size": "ranks"})
    settings = [*SETTINGS, *_varying_axes(runs)]
    keys = [*TABLE, *settings, *SIZE]
    runs = runs.assign(row=runs.groupby(keys, dropna=False).ngroup())
    times = epoch_times(data, warmup).merge(runs[["path", "row"]], on="path")
    rows = runs.drop_duplicates("row").set_index("row").sort_index()[keys]
    rows = rows.assign(**summarised(rows, runs, times, confidence, drop_outliers))
    return with_ceiling(rows, data, [key for key in keys if key not in ("study", "kind")], warmup), settings


def _varying_axes(runs: pd.DataFrame) -> list[str]:
    """Return the axes and options that tell rows of one table apart and have no column of another name."""
    columns = {*runs, "world_size", "devices"}
    axes = [key for key in runs if isinstance(key, str) and key.startswith(_AXES) and key != "train_communication"]
    own = [key for key in axes if not _has_other_column(key, columns)]
    if not own or runs.empty:
        return []
    differs = runs.groupby(TABLE, dropna=False)[own].nunique(dropna=False).gt(1).any()
    varying = [key for key in own if differs[key]]
    # an axis `model.numfm` is also a keyword in `model_args`: one column says it
    told = any(key.startswith("point_") for key in varying)
    return [key for key in varying if not (told and key == "train_model_args")]


def _has_other_column(key: str, columns: set[Any]) -> bool:
    """Whether an axis ``point_ntasks`` or ``point_train.loss`` only repeats ``ntasks`` or ``train_loss``."""
    if not key.startswith("point_"):
        return False
    name = key.removeprefix("point_").rpartition(".")[2]
    return name in columns or f"train_{name}" in columns


def _compared(rows: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` with speed-up and efficiency; ``base`` has the base case of each, in the same order."""
    faster = base["epoch_seconds_median"] / rows["epoch_seconds_median"]
    throughput = rows["images_per_second"] / base["images_per_second"]
    per_rank = faster * (base["ranks"] / rows["ranks"]).astype("float64")
    strong, weak = (rows["kind"].eq(kind).fillna(False).astype(bool) for kind in ("strong", "weak"))
    at = rows.columns.get_loc("share_compute")
    before, after = rows.iloc[:, :at], rows.iloc[:, at:]
    ratios = {
        "speedup": throughput.mask(strong, faster).mask(weak),
        "efficiency": per_rank.where(strong).mask(weak, faster),
    }
    return pd.concat([before.assign(**ratios), after], axis=1)
