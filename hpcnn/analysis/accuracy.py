"""Time to accuracy: how long a configuration trained until it was good enough, and how good it became.

Speed alone does not rate a training: fewer ranks, or a smaller batch, may need fewer epochs. The clock is MLPerf's:
from the start of training to the end of the epoch whose evaluation reached the target, never paused. So it counts the
first epoch and all evaluations. Must not import ratios, files or formats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpcnn.analysis.configuration import configured
from hpcnn.analysis.measured import counted_runs, with_communication
from hpcnn.analysis.units import with_units
from hpcnn.stats.medians import CONFIDENCE, runs_needed
from hpcnn.stats.survival import interval_with_cut_off, median_with_cut_off
from hpcnn.util.errors import bad_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

_QUALITY = ("median", "min", "max")


def time_to_accuracy(
    data: RunData, target: float | None = None, confidence: float = CONFIDENCE, by: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row a configuration: seconds and epochs until the accuracy on the test set reached ``target`` (0..1).

    Columns: those of the configuration (as in ``scaling_table``) and

    - ``target`` and ``target_from``: "given"; without ``target`` the runs' own --target-accuracy ("asked of the runs")
      where all of a table had one and the same, else the largest thousandth that all of them reached ("reached by
      all runs");
    - ``runs``, and of these ``reached``, ``not_reached``, ``cut_off`` (a run that failed, or was stopped, before it
      reached the target) and ``unknown`` (no accuracy, or no whole clock, recorded);
    - ``seconds_to_target`` and ``epochs_to_target``: medians over the runs whose clock is known. A run that did all of
      its epochs and did not reach the target counts as one that takes longer than any other, so the median is infinite
      where half or more of them did not, and never that of the lucky runs alone. A run that was cut off counts until
      then (Kaplan and Meier);
    - ``interval_low``, ``interval_high``, ``interval_coverage``, ``runs_needed``: as in ``scaling_table``, in seconds
      (an infinite end is open). It allows for whatever the runs that were cut off would have taken;
    - ``test_accuracy_median``, ``_min``, ``_max``: after the last epoch, over runs;
    - ``clock``: "recorded" (the epochs' own seconds_since_start) or, for runs that have none, "sum of epochs": their
      training and evaluation times added up, without the time between epochs; "both" where a row mixes them.

    A rank's own times are summarised by the slowest rank. Runs that did not complete are here where others of their
    configuration did, and in ``measured.left_out`` in any case. Raises UsageError for a target outside 0 to 1.
    """
    if target is not None and not 0 < target <= 1:
        raise bad_value("target", target, "an accuracy above 0 and up to 1, such as 0.97")
    counted = counted_runs(data, warmup=0)
    found = configured(counted, by)
    clock = _clock(data, data.runs["path"])
    runs = found.runs.merge(_targets(found.runs, clock, found.tables, target), on="path").assign(ended=True)
    runs = pd.concat([runs, _cut_off(data, runs, found.keys)], ignore_index=True)
    runs = runs[["path", "row", "test_accuracy", "target", "target_from", "ended"]].astype({"ended": bool})
    runs = runs.merge(_reached(runs, clock), on="path")
    rows = found.rows
    summary = {row: _summary(own, confidence) for row, own in runs.groupby("row")}
    columns = _summary(runs[:0], confidence)
    return with_units(rows.assign(**{key: [summary[row][key] for row in rows.index] for key in columns}))


def _clock(data: RunData, paths: pd.Series[str]) -> pd.DataFrame:
    """Return one row an epoch of each run: ``path``, ``epoch``, ``accuracy``, ``seconds``, ``recorded``.

    ``seconds`` are those since the start; from the first epoch without a time on, they are missing.
    """
    epochs = data.epochs[data.epochs["path"].isin(paths)]
    keys = ["seconds_since_start", "seconds_total", "seconds_evaluation", "validation_accuracy"]
    slowest = epochs.groupby(["path", "epoch"])[keys].max().reset_index()
    path = slowest["path"]
    spent = slowest["seconds_total"] + slowest["seconds_evaluation"].fillna(0.0)
    skipped = slowest["epoch"] != slowest.groupby("path").cumcount() + 1
    unknown = (spent.isna() | skipped).groupby(path).cummax()
    summed = spent.groupby(path).cumsum().mask(unknown)
    recorded = slowest["seconds_since_start"].notna().groupby(path).transform("all")
    return slowest[["path", "epoch"]].assign(
        accuracy=slowest["validation_accuracy"],
        seconds=slowest["seconds_since_start"].where(recorded, summed),
        recorded=recorded,
    )


def _cut_off(data: RunData, counted: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the runs that did not complete, of configurations of ``counted`` ones, with their row and target."""
    others = data.runs[(data.runs["status"] != "completed") & with_communication(data.runs)]
    others = others.rename(columns={"world_size": "ranks"})
    rows = counted.drop_duplicates("row")[[*keys, "row", "target", "target_from"]]
    return others.merge(rows, on=list(keys)).assign(ended=False)


def _targets(runs: pd.DataFrame, clock: pd.DataFrame, tables: Sequence[str], target: float | None) -> pd.DataFrame:
    """Return ``path``, ``target`` and ``target_from`` of each run; a missing target where none can be chosen."""
    best = runs["path"].map(clock.groupby("path")["accuracy"].max()).astype("float64")
    asked = runs.get("train_target_accuracy", pd.Series(math.nan, index=runs.index)).astype("float64")
    facts = pd.DataFrame({"best": best, "asked": asked, "table": runs.groupby(list(tables), dropna=False).ngroup()})
    chosen = {
        table: (target, "given") if target is not None else _common_target(own) for table, own in facts.groupby("table")
    }
    of_runs = [chosen[table] for table in facts["table"]]
    found = pd.DataFrame(of_runs, columns=["target", "target_from"], index=runs.index)
    return found.astype({"target": "float64", "target_from": "string"}).assign(path=runs["path"])


def _common_target(runs: pd.DataFrame) -> tuple[float, str | None]:
    if runs["asked"].notna().all() and runs["asked"].nunique() == 1:
        return float(runs["asked"].iloc[0]), "asked of the runs"
    known = runs["best"].dropna()
    lowest = math.floor(float(known.min()) * 1000) / 1000 if len(known) else 0.0
    return (lowest, "reached by all runs") if lowest > 0 else (math.nan, None)


def _reached(runs: pd.DataFrame, clock: pd.DataFrame) -> pd.DataFrame:
    """Return ``path``, ``seconds`` and ``reached_in`` (epochs) of each run: infinite if never, missing if unknown.

    Of a run that was cut off they are missing, and ``seconds_cut`` and ``epochs_cut`` say how far it came.
    """
    epochs = clock.merge(runs[["path", "target"]], on="path")
    hits = epochs[epochs["accuracy"] >= epochs["target"]].drop_duplicates("path").set_index("path")
    evaluated = epochs.groupby("path")["accuracy"].count().gt(0) & epochs.groupby("path")["target"].count().gt(0)
    path = runs["path"]
    never = ~path.isin(hits.index) & path.map(evaluated).fillna(False).astype(bool) & runs["ended"]
    last = clock.dropna(subset=["seconds"]).groupby("path")[["seconds", "epoch"]].last()
    cut = ~runs["ended"] & ~path.isin(hits.index)
    return pd.DataFrame(
        {
            "path": path,
            "seconds": path.map(hits["seconds"]).astype("float64").mask(never, math.inf),
            "reached_in": path.map(hits["epoch"]).astype("float64").mask(never, math.inf),
            "seconds_cut": path.map(last["seconds"]).astype("float64").where(cut),
            "epochs_cut": path.map(last["epoch"]).astype("float64").where(cut),
            "recorded": path.map(clock.groupby("path")["recorded"].all()).astype("boolean"),
        }
    )


def _summary(runs: pd.DataFrame, confidence: float) -> dict[str, Json]:
    """Return the columns of one configuration's ``runs``."""
    known = runs[runs["seconds"].notna() | runs["seconds_cut"].notna()]
    seconds, cut = (known[key].dropna().to_numpy(dtype="float64") for key in ("seconds", "seconds_cut"))
    epochs, epochs_cut = (known[key].dropna().to_numpy(dtype="float64") for key in ("reached_in", "epochs_cut"))
    interval = interval_with_cut_off(seconds, cut, confidence)
    clocks = set(known["recorded"].dropna())
    accuracy = runs.loc[runs["ended"], "test_accuracy"]
    return {
        "target": runs["target"].iloc[0] if len(runs) else math.nan,
        "target_from": runs["target_from"].iloc[0] if len(runs) else None,
        "runs": len(runs),
        "reached": int(np.isfinite(seconds).sum()),
        "not_reached": int(np.isinf(seconds).sum()),
        "cut_off": len(cut),
        "unknown": len(runs) - len(known),
        "seconds_to_target": median_with_cut_off(seconds, cut),
        "interval_low": interval.low if interval else math.nan,
        "interval_high": interval.high if interval else math.nan,
        "interval_coverage": interval.coverage if interval else math.nan,
        "runs_needed": runs_needed(confidence),
        "epochs_to_target": median_with_cut_off(epochs, epochs_cut),
        **{f"test_accuracy_{name}": accuracy.agg(name) for name in _QUALITY},
        "clock": {1: "recorded" if True in clocks else "sum of epochs", 2: "both"}.get(len(clocks)),
    }
