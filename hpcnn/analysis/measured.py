"""Which epochs of a run are timed, and which runs are left out of all tables, with the reason.

A run counts if it completed, if its record says what it measured, and if every one of its processes recorded an epoch
after the warm-up. Every other run is listed with its reason: a report is complete, or explains its omissions (Hoefler
and Belli, SC15, rule 2). Must not import base cases or ratios.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.stats.medians import fences

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

    # A run's facts; None where one is missing.
    Run = dict[Hashable, Json]

PARTS = ("compute", "communication", "input")

# Marks of epochs that did more than train: their seconds are no measurement of training.
_UNTIMED = ("resumed", "profiled")
_TIMED = ["path", "run", "epoch", "rank", "samples", *_UNTIMED, "seconds_total", *(f"seconds_{p}" for p in PARTS)]
_LEFT_OUT_COLUMNS = ["path", "run", "study", "status"]
_DECISIVE_COLUMNS = [
    *_LEFT_OUT_COLUMNS,
    "kind",
    "model",
    "program",
    "world_size",
    "batch_size",
    "exit_code",
    "reason",
    "problem",
]


def epoch_times(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return one row for each epoch of each completed run, with the time of its slowest rank.

    Columns: ``path``, ``run``, ``epoch``, ``rank`` (the slowest; the lowest of equals), ``seconds`` (the
    largest seconds_total of the ranks: the others wait for it), ``samples`` (the sum over ranks), and of the
    slowest rank ``share_compute``, ``share_communication``, ``share_input`` (fractions of ``seconds``).

    The first ``warmup`` epochs that a run recorded are left out: they pay for tracing, compiling and cold caches.
    So are the first epoch of each attempt of a run that was stopped and resumed, an epoch in which a profiler recorded
    steps, and epochs that some process of the run did not record, as the slowest may be the one that is missing. Ranks
    are summarised by their maximum, which a report must state (Hoefler and Belli, SC15, rule 10). Raises ValueError for
    a negative ``warmup``.
    """
    found = data.measured.epoch_times
    if warmup not in found:
        found[warmup] = _timed(data, data.runs[with_communication(data.runs)], warmup)
    return found[warmup].copy()


def ceiling_times(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return the epoch times of the runs without communication, which show how fast the machine computes at best.

    The columns are those of ``epoch_times``. They are a bound that a report shows (Hoefler and Belli, SC15, rule
    11), and no training: every rank keeps weights of its own.
    """
    return _timed(data, data.runs[~with_communication(data.runs)], warmup)


def with_communication(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return which runs exchanged gradients, and so trained one network: all but those of ``--no-communication``."""
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
    for mark in _UNTIMED:
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
    """Return the rows of ``data.runs`` that count: those that ``left_out`` does not list."""
    return data.runs[~data.runs["path"].isin(left_out(data, warmup)["path"])]


def left_out(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return one row for each run that does not count, with the reason.

    Columns: ``path``, ``run``, ``study``, ``status`` and ``reason``.
    """
    found = data.measured.left_out
    if warmup not in found:
        found[warmup] = _left_out(data, warmup)
    return found[warmup].copy()


def _left_out(data: RunData, warmup: int) -> pd.DataFrame:
    measured = set(epoch_times(data, warmup)["path"])
    others = data.epochs[~data.epochs["path"].isin(measured)]
    recorded = others.groupby("path")["epoch"].nunique().to_dict()
    known = data.runs[_DECISIVE_COLUMNS].assign(communicates=with_communication(data.runs)).astype(object)
    runs: list[Run] = known.where(known.notna(), None).to_dict("records")
    rows = []
    for run in runs:
        reason = _reason_left_out(run, recorded.get(run["path"], 0), run["path"] in measured, warmup)
        if reason is not None:
            rows.append({**{key: run[key] for key in _LEFT_OUT_COLUMNS}, "reason": reason})
    return pd.DataFrame(rows, columns=[*_LEFT_OUT_COLUMNS, "reason"], dtype="string")


def _reason_left_out(run: Run, epochs: int, measured: bool, warmup: int) -> str | None:
    """Return why a run that recorded so many ``epochs`` does not count; None if it does."""
    if run["status"] != "completed":
        return _reason_incomplete(run)
    if not run["communicates"]:
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


def _reason_incomplete(run: Run) -> str:
    code = None if run["exit_code"] is None else f"exit code {run['exit_code']}"
    missing = "it has no result.json" if run["status"] == "unfinished" else None
    return _joined(run["reason"], code, missing, run["problem"]) or "no reason was recorded"


def _joined(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)
