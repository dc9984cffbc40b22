"""Whether the repeats of a configuration are repeats of one thing: their order in time, hosts, drift and groups.

A median over ten seconds in January and fourteen in November is twelve, which nobody measured. Must not import formats
or views.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.configuration import TABLE
from hpcnn.analysis.diagnose.evidence import bases_of
from hpcnn.analysis.measured import counted_runs, epoch_times
from hpcnn.analysis.series import settings_of
from hpcnn.analysis.units import with_units
from hpcnn.stats.rank_tests import holm
from hpcnn.util.errors import HpcnnError
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Array, Json

# Fewer runs have no order that chance does not make often: of four, one in twelve rises or falls all the way.
LEAST_FOR_DRIFT = 5
# Two groups are apart by so many times the range of the wider one, and by so much of the median. Of four runs without
# groups, one set in seventy is apart by ten ranges; of more runs, fewer.
_APART, _LEAST_APART = 10.0, 0.02
# So much of a node's cores may be busy with something else before a remark says so.
_BUSY = 0.1
# A gap is so many times as long as the median one, and a day at least.
_GAP, _LEAST_GAP = 10.0, 86400.0


def quality_table(data: RunData, table: pd.DataFrame, warmup: int = 1, level: float = 0.05) -> pd.DataFrame:
    """Return one row for each row of a scaling ``table``: how its repeats lie in time, and whether they are alike.

    Columns: those of the configuration; ``runs``; ``first_finished``, ``last_finished`` (UTC), ``span_hours`` between
    these, ``largest_gap_hours`` between one run's end and the next's; ``hosts``: distinct sets of hosts; ``drift_p``:
    of Kendall's rank correlation of the times with their order (missing for fewer than five runs), ``drift_p_holm``:
    adjusted for all rows; ``groups_apart``: the distance of two groups of runs over the range of the wider, where it is
    ten or more; ``other_load_cores``: cores of a node that were busy with anything but the ranks, mean over nodes, the
    largest of the runs; ``with_base``: whether runs of the row ended between those of its base case, or the other way
    round (missing for base cases and with fewer than two runs of each); ``remarks``: what to think of, in words, empty
    where nothing is wrong. Raises HpcnnError without SciPy.
    """
    try:
        from scipy.stats import kendalltau
    except ImportError as error:
        raise HpcnnError(f"the table quality needs scipy: {error}. Install it: pip install 'hpcnn[report]'") from error
    keys = [*TABLE, *settings_of(table), *SIZE]
    seconds = epoch_times(data, warmup).groupby("path")["seconds"].median().rename("seconds")
    runs = counted_runs(data, warmup).rename(columns={"world_size": "ranks"})
    runs = runs.merge(table[keys].assign(row=table.index), on=keys).merge(seconds, left_on="path", right_index=True)
    finished = pd.to_datetime(runs["finished_at"], errors="coerce", utc=True, format="ISO8601")
    runs = runs.assign(finished=finished).sort_values(["finished", "path"])
    found = {}
    for row, own in runs.groupby("row"):
        timed = own[own["finished"].notna()]
        known = len(timed) >= LEAST_FOR_DRIFT
        tau = kendalltau(np.arange(len(timed)), timed["seconds"].to_numpy("float64")) if known else None
        found[row] = {**_in_time(own), "drift_p": math.nan if tau is None else float(tau.pvalue)}
        found[row] |= {"hosts": int(own["host"].nunique()), "groups_apart": _apart(own["seconds"].to_numpy("float64"))}
        found[row]["other_load_cores"] = float(own["other_load_cores"].astype("float64").max())
    columns = [*_in_time(runs[:0]), "hosts", "drift_p", "groups_apart", "other_load_cores"]
    rows = pd.DataFrame.from_dict(found, orient="index", columns=columns).reindex(table.index)
    rows.insert(columns.index("drift_p") + 1, "drift_p_holm", holm(rows["drift_p"].to_numpy("float64")))
    remarks = {row: _remarks(own, rows.loc[[row]].to_dict("records")[0], level) for row, own in runs.groupby("row")}
    words = pd.Series(["; ".join(remarks.get(row, [])) for row in table.index], index=table.index, dtype="string")
    together = _with_base(table, runs)
    return with_units(pd.concat([table[[*keys, "runs"]], rows], axis=1).assign(with_base=together, remarks=words))


def _in_time(runs: pd.DataFrame) -> dict[str, Json]:
    times = runs["finished"].dropna()
    gaps = times.diff().dropna().dt.total_seconds() / 3600
    return {
        "first_finished": times.min().isoformat() if len(times) else None,
        "last_finished": times.max().isoformat() if len(times) else None,
        "span_hours": (times.max() - times.min()).total_seconds() / 3600 if len(times) else math.nan,
        "largest_gap_hours": float(gaps.max()) if len(gaps) else math.nan,
    }


def _with_base(table: pd.DataFrame, runs: pd.DataFrame) -> pd.Series[bool]:
    """Return for each row whether its runs and those of its base case lie in one stretch of time."""
    ends: dict[Hashable, list[Json]] = {row: sorted(times.dropna()) for row, times in runs.groupby("row")["finished"]}
    found: dict[Hashable, bool] = {}
    for row, base in bases_of(table):
        both = [ends.get(label, []) for label in (row, base)]
        if row != base and min(map(len, both)) > 1:
            found[row] = max(times[0] for times in both) < min(times[-1] for times in both)
    return pd.Series(found, dtype="boolean").reindex(table.index)


def _apart(seconds: Array) -> float:
    """Return by how many ranges of the wider group two groups of at least two runs are apart; NaN if they are not."""
    ordered = np.sort(seconds)
    best = math.nan
    for at in range(2, len(ordered) - 1):
        gap = ordered[at] - ordered[at - 1]
        wider = max(ordered[at - 1] - ordered[0], ordered[-1] - ordered[at])
        if gap >= _APART * wider and gap >= _LEAST_APART * np.median(ordered):
            best = float(gap / wider) if wider else math.inf
    return best


def _remarks(runs: pd.DataFrame, row: dict[Hashable, Json], level: float) -> list[str]:
    """Return what is wrong with the repeats of a row, in words. ``runs``: in the order of time."""
    remarks = []
    if (at := _break(runs)) is not None:
        before, after = runs["seconds"].iloc[:at], runs["seconds"].iloc[at:]
        dates = [f"{time:%Y-%m-%d}" for time in (runs["finished"].iloc[at - 1], runs["finished"].iloc[at])]
        halves = f"{len(before)} until {dates[0]}: {significant(before.median())} s, {len(after)} from {dates[1]}: "
        halves += f"{significant(after.median())} s"
        if before.max() < after.min() or after.max() < before.min():
            remarks.append(f"two measurements, not one ({halves})")
        else:
            remarks.append(f"measured in two sessions ({halves})")
    elif row["groups_apart"] == row["groups_apart"]:
        low, high = runs["seconds"].min(), runs["seconds"].max()
        remarks.append(f"two groups of times, near {significant(low)} s and near {significant(high)} s")
    if row["drift_p_holm"] < level:
        first, last = runs["seconds"].iloc[0], runs["seconds"].iloc[-1]
        remarks.append(
            f"the times drift with their order (p {row['drift_p_holm']:.2g}: {significant(first)} s at first, "
            f"{significant(last)} s at last)"
        )
    by_host = [own["seconds"] for _, own in runs.groupby("host")]
    if any(
        one.max() < other.min() for one, other in itertools.permutations(by_host, 2) if min(len(one), len(other)) > 1
    ):
        remarks.append(f"{counted(len(by_host), 'set')} of hosts, of which one is faster in every run")
    load, cores = row["other_load_cores"], runs["host_cores"].astype("float64").max()
    if load > _BUSY * cores:
        remarks.append(f"up to {load:.1f} of a node's {cores:.0f} cores were busy with something else")
    return remarks


def _break(runs: pd.DataFrame) -> int | None:
    """Return before which run a gap lies that is no pause between two repeats; None without one."""
    gaps = runs["finished"].diff().dt.total_seconds().to_numpy("float64")[1:]
    if not len(gaps) or np.isnan(gaps).any():
        return None
    at = int(gaps.argmax())
    others = np.delete(gaps, at)
    usual = float(np.median(others)) if len(others) else 0.0
    return at + 1 if gaps[at] >= max(_LEAST_GAP, _GAP * usual) else None
