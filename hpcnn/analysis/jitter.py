"""How much the steps of each configuration differ, and what the ranks wait for the slowest of them in each step.

A step lasts as long as its slowest rank, so unequal steps cost more on more ranks, though every rank is as fast on
average. Must not import formats or views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.configuration import TABLE
from hpcnn.analysis.series import settings_of
from hpcnn.analysis.table_runs import runs_of_table
from hpcnn.analysis.units import with_units
from hpcnn.stats.maxima import expected_largest
from hpcnn.util.errors import HpcnnError

if TYPE_CHECKING:
    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Array


def jitter_table(data: RunData, table: pd.DataFrame, warmup: int = 1) -> pd.DataFrame:
    """Return one row for each row of a scaling ``table`` whose runs record how long each step's work takes.

    Columns: those of the configuration; ``runs``; of the work of a step, in s: ``step_seconds_mean`` (over steps and
    ranks), ``step_seconds_deviation`` (standard deviation), ``step_seconds_maximum`` (mean over steps of the slowest
    rank's), and ``step_skewness``, which has no unit; ``jitter``: deviation over mean; ``slowest``: by what fraction
    the maximum exceeds the mean; ``slowest_if_independent``: the same as it would be if the ranks' steps were
    independent (NaN without SciPy). Medians over a run's epochs, then over runs. Work is what a rank does between two
    sums of gradients.
    """
    _, epochs = runs_of_table(data, table, warmup)
    timed = epochs.loc[epochs["steps_timed"].fillna(0) > 0].drop_duplicates(["path", "epoch"])
    steps = timed["steps_timed"].astype("float64")
    each = pd.DataFrame(
        {
            "row": timed["row"],
            "path": timed["path"],
            "step_seconds_mean": timed["step_seconds_mean"],
            "step_seconds_deviation": np.sqrt(timed["step_seconds_variance"]),
            "step_seconds_maximum": timed["step_seconds_sum_of_maxima"] / steps,
            "step_skewness": timed["step_skewness"],
        }
    )
    of_row = each.groupby(["row", "path"]).median().groupby("row").median()
    rows = table[[*TABLE, *settings_of(table), *SIZE, "runs"]].join(of_row, how="inner")
    rows["jitter"] = rows["step_seconds_deviation"] / rows["step_seconds_mean"]
    rows["slowest"] = rows["step_seconds_maximum"] / rows["step_seconds_mean"] - 1
    rows["slowest_if_independent"] = rows["jitter"] * _expected(rows)
    return with_units(rows)


def _expected(rows: pd.DataFrame) -> Array:
    try:
        found = [
            expected_largest(ranks, skewness)
            for ranks, skewness in zip(rows["ranks"].astype(int), rows["step_skewness"], strict=True)
        ]
    except HpcnnError:  # without SciPy
        return np.full(len(rows), np.nan)
    return np.array(found, dtype="float64")
