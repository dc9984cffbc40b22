"""Forecasts of a report: the next measurements to make, and predictions for more ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.view import View, count
from hpcnn.util.table import Column

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.figures.scaling import Plot
    from hpcnn.report import RunData
    from hpcnn.report.views.view import Row

# Predictions of a report go up to so many times the largest measured size, doubling.
_BEYOND = 16


def advice_view(data: RunData, table: pd.DataFrame, budget: float) -> View:
    """Return the measurements within ``budget`` core-hours that narrow intervals and fits most, as a view."""
    from hpcnn.analysis.predict.advice import limits, next_measurement
    from hpcnn.util.text import significant

    found = next_measurement(data, table, budget)
    rows: list[Row] = [vars(one) for one in found]
    columns = [
        Column("label", "series"),
        count("ranks", "ranks"),
        count("runs", "more runs"),
        Column("core_hours", "core-hours", significant, right=True),
        Column("affordable", "within budget", lambda fits: "yes" if fits else "no"),
        Column("words", "what it gives"),
    ]
    enough = "nothing more that this machine can give is needed for intervals and fits"
    caption = f"budget: {budget:g} core-hours" if found else enough
    return View("What to measure next", rows, columns, "", caption, limits(data, table))


def prediction_plots(data: RunData, table: pd.DataFrame, network: str) -> list[Plot]:
    """Return a figure for each series that scales: measured sizes, and up to sixteen times the largest on a network.

    ``hpcnn predict`` has options for all settings. Raises UsageError for an unknown network.
    """
    from hpcnn.analysis.predict.capacity import capacity
    from hpcnn.analysis.predict.predict import predict_study
    from hpcnn.analysis.series import ranks_per_node, scaling_series
    from hpcnn.figures.scaling.prediction import prediction_plot
    from hpcnn.interconnect.allreduce import Cluster
    from hpcnn.interconnect.links import link

    between = link(network)
    plots = []
    for number, (label, rows) in enumerate(scaling_series(table), 1):
        measured = [int(size) for size in rows["ranks"]]
        has = capacity(data, rows)
        # a machine that has no more than was measured: of more nodes like it
        last = measured[-1] * _BEYOND if has.ranks <= measured[-1] else int(min(measured[-1] * _BEYOND, has.ranks))
        ranks = sorted({*measured, *(2**k for k in range(last.bit_length())), last})
        found = predict_study(data, rows, ranks, Cluster(between, between, ranks_per_node=ranks_per_node(rows)))
        check = found.check
        how_far = f"a model of the smaller sizes: {check.error:+.1%} on {check.ranks} ranks" if check else "not checked"
        which = f"{has.words}: more ranks are of more nodes like it; " if has.ranks < last else ""
        remarks = f"network {network}; {how_far}; {which}see hpcnn predict"
        name = "prediction" if number == 1 else f"prediction-{number}"
        plots.append(prediction_plot(found.table, rows, label, remarks, name))
    return plots
