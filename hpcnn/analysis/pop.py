"""The efficiencies of the POP Centre of Excellence, of each configuration, from the epochs of its runs.

A rank's useful time is that outside communication. Load balance is the mean useful time of the ranks over the largest,
communication efficiency the largest over the run time, and their product is the parallel efficiency. Computational
scalability is the useful time of all ranks of the base case over that of the row; times parallel efficiency it is the
global efficiency (M. Wagner et al., A Structured Approach to Performance Analysis, Parallel Tools Workshop 2017).
Communication efficiency is serialization times transfer: on an ideal network an epoch would take the work of the
slowest rank of each step, which the record has (``jitter.py``). Must not import formats or views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.configuration import TABLE
from hpcnn.analysis.diagnose.evidence import bases_of
from hpcnn.analysis.series import settings_of
from hpcnn.analysis.table_runs import runs_of_table
from hpcnn.analysis.units import with_units

if TYPE_CHECKING:
    from hpcnn.analysis.load import RunData

_OF_STEPS = ["steps", "steps_timed", "step_seconds_mean", "step_seconds_sum_of_maxima"]


def pop_table(data: RunData, table: pd.DataFrame, warmup: int = 1) -> pd.DataFrame:
    """Return one row for each row of a scaling ``table`` whose runs record where an epoch's seconds go.

    Columns: those of the configuration; ``runs``; ``load_balance``, ``communication_efficiency``,
    ``parallel_efficiency`` (of each epoch; the median over a run's epochs, then over runs, so the product of the first
    two medians may differ a little from the third); ``serialization`` (largest useful time over the time on an ideal
    network) and ``transfer`` (that over the run time), missing where no work of steps is recorded;
    ``useful_seconds``: of all ranks, an epoch; ``computational_scalability`` and ``global_efficiency``, relative to the
    base case, of strong and weak scaling (missing otherwise); ``base_case``.
    """
    _, epochs = runs_of_table(data, table, warmup)
    useful = (epochs["seconds_total"] - epochs["seconds_communication"]).clip(lower=0)
    of_epoch = epochs.assign(useful=useful).groupby(["row", "path", "epoch"])
    facts = of_epoch.agg(mean=("useful", "mean"), most=("useful", "max"), time=("seconds_total", "max"))
    facts = facts[of_epoch["useful"].count() == of_epoch["rank"].size()]
    ideal = _on_an_ideal_network(of_epoch[_OF_STEPS].first().reindex(facts.index), facts)
    each = pd.DataFrame(
        {
            "load_balance": facts["mean"] / facts["most"],
            "communication_efficiency": facts["most"] / facts["time"],
            "serialization": facts["most"] / ideal,
            "transfer": ideal / facts["time"],
            "parallel_efficiency": facts["mean"] / facts["time"],
            "useful_seconds": of_epoch["useful"].sum().reindex(facts.index),
        }
    )
    of_row = each.groupby(["row", "path"]).median().groupby("row").median()
    rows = table[[*TABLE, *settings_of(table), *SIZE, "runs"]].join(of_row, how="inner")
    base = pd.Series(dict(bases_of(table))).reindex(rows.index)
    kind = table["kind"].reindex(rows.index).astype(object)
    ranks = table["ranks"].astype("float64")
    # the base case's work on so many ranks: all of it in strong scaling, in proportion to the ranks in weak scaling
    grown = (ranks.reindex(rows.index) / ranks.reindex(base).set_axis(rows.index)).where(kind.eq("weak"), 1.0)
    of_base = of_row["useful_seconds"].reindex(base).set_axis(rows.index) * grown
    scalability = (of_base / rows["useful_seconds"]).where(kind.isin(["strong", "weak"]))
    found = rows.assign(
        computational_scalability=scalability,
        global_efficiency=rows["parallel_efficiency"] * scalability,
        base_case=table["base_case"].reindex(rows.index),
    )
    return with_units(found)


def _on_an_ideal_network(of_steps: pd.DataFrame, facts: pd.DataFrame) -> pd.Series[float]:
    """Return the seconds of each epoch if sums of gradients took no time: what ranks then wait for is each other."""
    steps = of_steps.astype("float64")
    longer = steps["step_seconds_sum_of_maxima"] / steps["steps_timed"] - steps["step_seconds_mean"]
    return (facts["mean"] + steps["steps"] * longer).clip(lower=facts["most"], upper=facts["time"])
