"""The measured epochs of each configuration summarised: times with their interval, rates, shares, hours.

Runs first, then rows: epochs of one run are not independent repeats, so an interval is one over runs. Rates are sums
of work over sums of time; no column is a ratio of two rows. Must not import base cases or formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hpcnn.analysis.measured import PARTS, ceiling_times, outlying
from hpcnn.stats.medians import LEAST_FOR_FENCES, median_interval, runs_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

_SECONDS_PER_HOUR = 3600.0


def summarised(
    rows: pd.DataFrame, runs: pd.DataFrame, times: pd.DataFrame, confidence: float, drop_outliers: bool
) -> dict[str, Json]:
    """Return the columns of the measurements of each row, by name.

    ``rows`` have the settings, ``runs`` one line a run (of ``with_own_medians``) and ``times`` one line a measured
    epoch; the latter two have the label of their row in ``row``.

    - ``runs`` and ``epochs``: how many were measured (``measured.left_out`` lists the runs that were not);
    - ``epoch_seconds_median``, ``_min``, ``_max``: of the runs' own median epoch times, in seconds;
    - ``interval_low``, ``interval_high``: the exact interval of that median over runs, in seconds, and
      ``interval_coverage``, its true coverage (see ``stats.median_interval``; missing with one run). ``runs_needed``:
      runs with which it would reach the confidence asked for;
    - ``epoch_seconds_p05``, ``_p95``: percentiles of all measured epochs, in seconds;
    - ``outliers``: epochs outside Tukey's fences of their run, left out if ``drop_outliers``; ``outliers_testable``:
      whether some run has the four epochs without which no value can be outside;
    - ``images_per_second``, ``_low``, ``_high``: one over the median seconds of a sample, over runs of each run's
      median, so that one epoch that hung does not decide; and its exact interval (of ``interval_coverage``);
    - ``images_per_second_per_rank``: that divided by the ranks;
    - ``share_compute``, ``share_communication``, ``share_input``: of the slowest ranks' seconds;
    - ``cores_held``, ``gpus_held``: what the job held, used or not (``allocated``); ``node_hours_per_epoch``,
      ``core_hours_per_epoch``, ``gpu_hours_per_epoch``, ``_low`` and ``_high``: what was held times the median epoch
      time and its interval;
    - ``test_accuracy``: the median over runs.
    """
    outside = outlying(times)
    found = outside.groupby(times["row"]).sum()
    most_epochs = times.groupby(["row", "path"]).size().groupby("row").max()
    times = kept_times(times, drop_outliers)
    of_runs, of_times = runs.groupby("row"), times.groupby("row")
    seconds, median = of_times["seconds"].sum(), of_runs["run_seconds"].median()
    columns: dict[str, Json] = {
        "runs": of_runs.size(),
        "epochs": of_times.size(),
        "epoch_seconds_median": median,
        "epoch_seconds_min": of_runs["run_seconds"].min(),
        "epoch_seconds_max": of_runs["run_seconds"].max(),
        **_intervals(runs, rows.index, confidence),
        "epoch_seconds_p05": of_times["seconds"].quantile(0.05),
        "epoch_seconds_p95": of_times["seconds"].quantile(0.95),
        "outliers": found.astype("int64"),
        "outliers_testable": most_epochs >= LEAST_FOR_FENCES,
        "images_per_second": 1 / of_runs["sample_seconds"].median(),
        **_rate_intervals(runs, rows.index, confidence),
        "images_per_second_per_rank": 1 / of_runs["sample_seconds"].median() / rows["ranks"],
    }
    for part in PARTS:
        share = times[f"share_{part}"]
        spent = (share * times["seconds"]).groupby(times["row"]).sum() / seconds
        columns[f"share_{part}"] = spent.where(share.notna().groupby(times["row"]).all())
    held = allocated(rows, runs)
    columns |= {"cores_held": held["core"], "gpus_held": held["gpu"]}
    for of, number in held.items():
        for end, seconds in (("", median), ("_low", columns["interval_low"]), ("_high", columns["interval_high"])):
            columns[f"{of}_hours_per_epoch{end}"] = number * seconds / _SECONDS_PER_HOUR
    return {**columns, "test_accuracy": of_runs["test_accuracy"].median()}


def kept_times(times: pd.DataFrame, drop_outliers: bool) -> pd.DataFrame:
    """Return the ``times`` that count: all of them, or those within their run's fences."""
    return times[~outlying(times)] if drop_outliers else times


def with_own_medians(runs: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return ``runs`` with the medians of their epochs, in s: ``run_seconds``, and ``sample_seconds`` of a sample."""
    of_run = times.assign(each=times["seconds"] / times["samples"]).groupby("path")[["seconds", "each"]].median()
    own = pd.DataFrame({"run_seconds": of_run["seconds"], "sample_seconds": of_run["each"]})
    return runs.merge(own, left_on="path", right_index=True)


def allocated(rows: pd.DataFrame, runs: pd.DataFrame) -> dict[str, pd.Series[float]]:
    """Return how many nodes, cores and GPUs each of ``rows`` held; missing where no run records it.

    ``runs``: one line a run, with its ``row``. What a job holds is charged, whether its ranks use it or not. Cores are
    those that Slurm gave, else those asked for; GPUs those that Slurm gave or the job asked for, else one a rank, and
    none on CPUs.
    """
    held = runs.groupby("row")[["cores_held", "gpus_held"]].median().astype("float64").reindex(rows.index)
    device = rows["device"].astype("object")
    on_gpus = device.notna() & ~device.fillna("").str.contains("CPU")
    gpus = rows["ranks"].astype("float64").where(on_gpus).mask(device.eq("CPU").fillna(False).astype(bool), 0.0)
    cores = rows["ntasks"].astype("float64") * rows["cpus_per_task"].astype("float64")
    return {
        "node": rows["nodes"].astype("float64"),
        "core": held["cores_held"].fillna(cores),
        "gpu": held["gpus_held"].fillna(gpus),
    }


def with_ceiling(rows: pd.DataFrame, data: RunData, keys: Sequence[str], warmup: int) -> pd.DataFrame:
    """Return ``rows`` with ``ceiling_images_per_second``, that of the runs without communication of the same ``keys``.

    Missing where there is no such run.
    """
    times = ceiling_times(data, warmup)
    runs = data.runs[data.runs["path"].isin(times["path"])].rename(columns={"world_size": "ranks"})
    known = [_as_key(key) for key in rows[list(keys)].itertuples(index=False)]
    configuration = {path: _as_key(key) for path, *key in runs[["path", *keys]].itertuples(index=False)}
    of_runs: dict[tuple[Json, ...], list[float]] = {}
    for path, epochs in times.groupby("path"):
        of_runs.setdefault(configuration[path], []).append(float((epochs["seconds"] / epochs["samples"]).median()))
    rates = [1 / float(np.median(of_runs[key])) if key in of_runs else np.nan for key in known]
    at = rows.columns.get_loc("images_per_second")
    rows = rows.copy()
    rows.insert(int(at) + 1 if isinstance(at, int) else len(rows.columns), "ceiling_images_per_second", rates)
    return rows


def _intervals(runs: pd.DataFrame, labels: pd.Index[Any], confidence: float) -> dict[str, Json]:
    nothing = (np.nan, np.nan, np.nan)
    found = {
        row: median_interval(own.to_numpy(), confidence) or nothing for row, own in runs.groupby("row")["run_seconds"]
    }
    names = ["interval_low", "interval_high", "interval_coverage"]
    frame = pd.DataFrame.from_dict(found, orient="index", columns=names, dtype="float64").reindex(labels)
    return {**{name: frame[name] for name in names}, "runs_needed": runs_needed(confidence)}


def _rate_intervals(runs: pd.DataFrame, labels: pd.Index[Any], confidence: float) -> dict[str, Json]:
    found = {row: median_interval(own.to_numpy(), confidence) for row, own in runs.groupby("row")["sample_seconds"]}
    ends = {
        row: (1 / interval.high, 1 / interval.low) if interval else (np.nan, np.nan) for row, interval in found.items()
    }
    names = ["images_per_second_low", "images_per_second_high"]
    frame = pd.DataFrame.from_dict(ends, orient="index", columns=names, dtype="float64").reindex(labels)
    return {name: frame[name] for name in names}


def _as_key(values: Iterable[Json]) -> tuple[Json, ...]:
    """Return a configuration as a key in which missing values equal each other."""
    return tuple(None if pd.isna(value) else value for value in values)
