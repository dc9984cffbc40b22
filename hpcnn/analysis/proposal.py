"""What to ask for: the hours of a number of trainings, on each configuration, as a proposal justifies them.

An hour is of nodes, cores and GPUs that a job **held**, from the start of the ranks' processes to the end: imports,
data, staging, all epochs with the warm-up, evaluation, checkpoints. What runs that did not complete took is added, as
the share that they had where this was measured. Waiting in the queue, and the launcher's start, are in no record. Must
not import views.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.configuration import TABLE
from hpcnn.analysis.cost import sweet_spots
from hpcnn.analysis.series import settings_of
from hpcnn.analysis.table_runs import runs_of_table
from hpcnn.analysis.units import with_units
from hpcnn.analysis.usage import energy_of_rows
from hpcnn.rundir.layout import RunDir
from hpcnn.stats.medians import CONFIDENCE
from hpcnn.stats.totals import predicted_total
from hpcnn.util.errors import bad_value
from hpcnn.util.files import read_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from hpcnn.analysis.load import RunData

_HELD = {"node": "nodes", "core": "cores_held", "gpu": "gpus_held"}


def proposal_table(
    data: RunData,
    table: pd.DataFrame,
    trainings: int = 1,
    warmup: int = 1,
    confidence: float = CONFIDENCE,
    joules: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return one row for each row of a scaling ``table``: what ``trainings`` trainings like its runs need.

    Columns: those of the configuration; ``runs`` and ``efficiency`` of the scaling table; ``trainings``; of one job, in
    s, means over runs: ``job_seconds``, and its parts ``start_seconds`` (of the processes, before the record),
    ``epoch_seconds`` (all epochs, of their slowest rank), ``evaluation_seconds`` and ``other_seconds`` (data, staging,
    first calls, callbacks, checkpoints); ``lost_share``: seconds of runs that did not complete, over those of runs that
    did, in the table of the row; ``hours`` (of the clock, one job after another), ``node_hours``, ``core_hours``,
    ``gpu_hours``: of all trainings with that share, and ``_low`` and ``_high`` of each, a prediction interval of the
    sum; ``energy_kwh`` of all trainings with that share, and ``energy_source`` (see ``cost_table``, and there for
    ``joules``); ``chosen``: of a series, the row of the fewest node-hours among those with as many ranks as the knee of
    efficiency and time; among all, where there is no knee.

    Raises UsageError for a number of ``trainings`` below 1.
    """
    if trainings < 1:
        raise bad_value("trainings", trainings, "a number of trainings from 1")
    runs = _with_parts(data, runs_of_table(data, table, warmup).runs)
    columns = [*TABLE, *settings_of(table), *SIZE, "runs", "efficiency"]
    rows = table[columns].assign(trainings=trainings)
    of_row = runs.groupby("row")
    for part in ("job", "start", "epoch", "evaluation", "other"):
        rows[f"{part}_seconds"] = of_row[f"{part}_seconds"].mean().reindex(rows.index)
    rows["lost_share"] = _lost_shares(data, table, runs)
    seconds = of_row["job_seconds"].apply(lambda values: values.dropna().tolist())
    totals = pd.DataFrame(
        [predicted_total(seconds.get(label, []), trainings, confidence) for label in rows.index],
        columns=["", "_low", "_high"],
        index=rows.index,
        dtype="float64",
    )
    for end in totals:
        rows[f"hours{end}"] = totals[end] * (1 + rows["lost_share"]) / 3600
    for of, held in _HELD.items():
        number = table[held].astype("float64").reindex(rows.index)
        for end in totals:
            rows[f"{of}_hours{end}"] = number * rows[f"hours{end}"]
    rows = rows.join(energy_of_rows(runs, joules))
    rows["energy_kwh"] *= trainings * (1 + rows["lost_share"])
    return with_units(rows.assign(chosen=_chosen(table, rows)))


def _with_parts(data: RunData, runs: pd.DataFrame) -> pd.DataFrame:
    """Return ``runs`` with the seconds of their whole jobs, and of the parts of these."""
    epochs = data.epochs.groupby(["path", "epoch"])[["seconds_total", "seconds_evaluation"]].max()
    spent = epochs.groupby("path").sum().reindex(runs["path"]).set_axis(runs.index)
    start = runs["path"].map(_start_seconds).astype("float64")
    recorded = runs["seconds_total"].astype("float64")
    other = (recorded - spent["seconds_total"] - spent["seconds_evaluation"]).clip(lower=0)
    return runs.assign(
        job_seconds=recorded + start,
        start_seconds=start,
        epoch_seconds=spent["seconds_total"],
        evaluation_seconds=spent["seconds_evaluation"],
        other_seconds=other,
    )


def _start_seconds(path: str) -> float:
    """Return the seconds from the start of rank 0's process to its record; 0 where that was not recorded."""
    try:
        for event in read_lines(RunDir(Path(path)).events):
            if event.get("key") == "init_start" and isinstance(event.get("value"), (int, float)):
                return float(event["value"])
    except OSError:
        pass
    return 0.0


def _lost_shares(data: RunData, table: pd.DataFrame, counted: pd.DataFrame) -> pd.Series[Any]:
    """Return for each row the seconds of runs of its table that did not complete, over those of its counted runs."""
    failed = data.runs[~data.runs["status"].isin(["completed"])]
    last = data.epochs.groupby("path")["seconds_since_start"].max()
    lost = failed["seconds_total"].astype("float64").fillna(failed["path"].map(last).astype("float64")).fillna(0.0)
    keys = [key for key in TABLE if key not in ("cpu_model", "device")]  # a run that failed early does not know them
    of_failed = failed[keys].assign(seconds=lost).groupby(keys, dropna=False)["seconds"].sum()
    of_counted = counted.groupby(keys, dropna=False)["job_seconds"].sum()
    names = table[keys].astype(object).where(table[keys].notna(), None).apply(tuple, axis=1)
    shares = (_by_names(of_failed), _by_names(of_counted))
    return names.map(lambda name: shares[0].get(name, 0.0) / shares[1][name] if shares[1].get(name) else 0.0)


def _by_names(sums: pd.Series[Any]) -> dict[tuple[object, ...], float]:
    return {tuple(None if pd.isna(key) else key for key in name): float(value) for name, value in sums.items()}  # type: ignore[attr-defined]


def _chosen(table: pd.DataFrame, rows: pd.DataFrame) -> pd.Series[Any]:
    """Return which rows are to be asked for: one of each base case."""
    knee = sweet_spots(table, table["base_case"])
    groups = [table[key] for key in TABLE] + [table["base_case"]]
    ranks = table["ranks"].astype("float64")
    of_knee = ranks.where(knee).groupby(groups, dropna=False).transform("min")
    hours = rows["node_hours"].where(of_knee.isna() | ranks.eq(of_knee))
    least = hours.groupby(groups, dropna=False).transform("min")
    chosen: pd.Series[Any] = hours.eq(least).fillna(False) | (knee & least.isna())
    return chosen
