"""What counts as a measurement: which epochs of a run are timed, and which runs are left out and why.

A run counts if it completed, if it is known what it measured, and if an epoch after the warm-up was recorded
by every one of its processes. Every other run is listed with its reason: results are reported in full, or the
omission is explained (Hoefler and Belli, SC15, rule 2). Must not know base cases or ratios.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from hpcnn.stats.medians import fences

if TYPE_CHECKING:
    from hpcnn.analysis.load import RunData

PARTS = ("compute", "communication", "input")

# Epochs that did more than train: their seconds are no measurement of training.
_OTHERWISE = ("resumed", "profiled")
_TIMED = ["path", "run", "epoch", "rank", "samples", *_OTHERWISE, "seconds_total", *(f"seconds_{p}" for p in PARTS)]
_OUT = ["path", "run", "study", "status"]
_DECISIVE = [*_OUT, "kind", "model", "program", "world_size", "batch_size", "exit_code", "reason", "problem"]


def epoch_times(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return one row for each epoch of each completed run, as its slowest rank saw it.

    Columns: ``path``, ``run``, ``epoch``, ``rank`` (the slowest; the lowest of equals), ``seconds`` (the
    largest seconds_total of the ranks: the others wait for it), ``samples`` (the sum over ranks), and of the
    slowest rank ``share_compute``, ``share_communication``, ``share_input`` (fractions of ``seconds``).

    The first ``warmup`` epochs that a run recorded are left out: they pay for tracing, compiling and cold caches.
    So are the first epoch of each attempt of a run that was stopped and resumed, an epoch in which a profiler recorded
    steps, and epochs that were not recorded by each of the run's processes, as the slowest may be the one that is
    missing. How ranks are summarised must be stated (Hoefler and Belli, SC15, rule 10): by their maximum. Raises
    ValueError for a negative ``warmup``.
    """
    return _timed(data, data.runs[trains(data.runs)], warmup)


def ceiling_times(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return the same of the runs without communication, which train nothing: what the machine computes at best.

    The bound that no communication can lift (Hoefler and Belli, SC15, rule 11: show the limits).
    """
    return _timed(data, data.runs[~trains(data.runs)], warmup)


def trains(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return which runs trained one network: all but those that left the communication out."""
    if "train_communication" not in runs:
        return pd.Series(True, index=runs.index)
    return runs["train_communication"].fillna(True).astype(bool)


def _timed(data: RunData, runs: pd.DataFrame, warmup: int) -> pd.DataFrame:
    if warmup < 0:
        raise ValueError(f"warmup: {warmup} is not a number of epochs")
    completed = runs.loc[runs["status"] == "completed", ["path", "ntasks"]]
    epochs = data.epochs[_TIMED].merge(completed, on="path")
    # grouped and sorted by numbers that are in the order of path and epoch: a million texts take three times as long
    epochs["of_run"], _ = pd.factorize(epochs["path"], sort=True)
    place, distinct = pd.factorize(epochs["epoch"], sort=True)
    epochs["of_epoch"] = epochs["of_run"] * len(distinct) + place
    of_run = epochs.groupby("of_run")
    processes = epochs["ntasks"].fillna(of_run["rank"].transform("nunique"))
    timed = (epochs["seconds_total"] > 0) & epochs["samples"].notna()
    for mark in _OTHERWISE:
        timed &= ~epochs[mark].fillna(False)
    recorded = epochs.groupby("of_epoch")["rank"].transform("size")
    whole = (recorded == processes) & timed.groupby(epochs["of_epoch"]).transform("all")
    warm = epochs["epoch"] - of_run["epoch"].transform("min") >= warmup

    epochs = epochs[whole & warm].sort_values(["of_epoch", "rank"])
    of_epoch = epochs.groupby("of_epoch")
    slowest = epochs.loc[of_epoch["seconds_total"].idxmax()]
    times = slowest[["path", "run", "epoch", "rank"]].assign(
        seconds=slowest["seconds_total"],
        samples=of_epoch["samples"].sum().to_numpy(dtype="int64"),
        **{f"share_{part}": slowest[f"seconds_{part}"] / slowest["seconds_total"] for part in PARTS},
    )
    return times.reset_index(drop=True)


def outlying(times: pd.DataFrame) -> pd.Series[bool]:
    """Return which of the ``epoch_times`` are outside Tukey's fences of their own run.

    Of their own run, because epochs of one run are alike and runs need not be: a run that is slow as a whole is a
    result and no outlier, and no run loses all of its epochs.
    """
    of_run = times.groupby("path")["seconds"]
    low, high = fences(of_run.quantile(0.25), of_run.quantile(0.75))
    path, seconds = times["path"], times["seconds"]
    return (seconds < path.map(low).astype("float64")) | (seconds > path.map(high).astype("float64"))


def counted_runs(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return the rows of ``data.runs`` that count: all that ``left_out`` does not list."""
    return data.runs[~data.runs["path"].isin(left_out(data, warmup)["path"])]


def left_out(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return one row for each run that does not count, with the reason.

    Columns: ``path``, ``run``, ``study``, ``status`` and ``reason``.
    """
    measured = set(epoch_times(data, warmup)["path"])
    others = data.epochs[~data.epochs["path"].isin(measured)]
    recorded = others.groupby("path")["epoch"].nunique().to_dict()
    known = data.runs[_DECISIVE].assign(trains=trains(data.runs)).astype(object)
    runs: list[dict[Any, Any]] = known.where(known.notna(), None).to_dict("records")
    rows = []
    for run in runs:
        reason = _why_not(run, recorded.get(run["path"], 0), run["path"] in measured, warmup)
        if reason is not None:
            rows.append({**{key: run[key] for key in _OUT}, "reason": reason})
    return pd.DataFrame(rows, columns=[*_OUT, "reason"], dtype="string")


def _why_not(run: dict[Any, Any], epochs: int, measured: bool, warmup: int) -> str | None:
    """Return why ``run``, which recorded so many ``epochs``, does not count; None if it does."""
    if run["status"] != "completed":
        return _why_incomplete(run)
    if not run["trains"]:
        reason = "without communication it trains nothing: it serves as the ceiling alone"
    elif run["model"] is None and run["program"] is None:
        reason = "what was asked is unknown"
    elif run["world_size"] is None:
        reason = "the number of ranks is unknown"
    elif run["kind"] in ("strong", "weak") and run["batch_size"] is None:
        reason = f"the global batch size is unknown, which {run['kind']} scaling depends on"
    elif measured:
        return None
    elif epochs == 0:
        reason = "no epoch was recorded"
    elif epochs <= warmup:
        reason = f"no measured epoch: {epochs} recorded, the first {warmup} left out as warm-up"
    else:
        reason = "no epoch after the warm-up was recorded whole, and in one piece, by every process without a profiler"
    return _joined(reason, run["problem"])


def _why_incomplete(run: dict[Any, Any]) -> str:
    code = None if run["exit_code"] is None else f"exit code {run['exit_code']}"
    missing = "it has no result.json" if run["status"] == "unfinished" else None
    return _joined(run["reason"], code, missing, run["problem"]) or "no reason was recorded"


def _joined(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)
