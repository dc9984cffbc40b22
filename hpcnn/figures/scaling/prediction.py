"""The predicted times of larger configurations, beside the measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.figures.scaling.axes import rank_axis
from hpcnn.figures.scaling.plot import Plot, listed
from hpcnn.figures.style import ACCENT, DASHES, MAIN, figure_for_page, legend, log_axis, styled
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    import pandas as pd


@styled
def prediction_plot(
    predicted: pd.DataFrame, measured: pd.DataFrame, label: str, remarks: str = "", name: str = "prediction"
) -> Plot:
    """Return seconds an epoch against ranks, both logarithmic: predicted, and measured.

    predicted: ``ranks`` and ``seconds_per_epoch``, and, where known, ``seconds_all_hidden`` and
    ``seconds_none_hidden``, its bounds. measured: rows of a scaling table. remarks: what the prediction assumes, and
    how far it was off where it could be checked. name: unique in a report.
    """
    figure, (axes,) = figure_for_page()
    ranks, seconds, epoch_seconds = (
        predicted["ranks"],
        predicted["seconds_per_epoch"],
        measured["epoch_seconds_median"],
    )
    values = [*seconds, *epoch_seconds]
    if {"seconds_all_hidden", "seconds_none_hidden"} <= set(predicted):
        low, high = predicted["seconds_all_hidden"], predicted["seconds_none_hidden"]
        band = "all to none of the communication hidden"
        axes.fill_between(ranks, low, high, color=ACCENT, alpha=0.15, linewidth=0, label=band)
        values += [*low, *high]
    axes.plot(
        ranks, seconds, color=ACCENT, label="predicted", linestyle=DASHES[1], marker="s", markersize=3.5, linewidth=1.3
    )
    axes.plot(measured["ranks"], epoch_seconds, color=MAIN, marker="o", linestyle="none", label="measured")
    rank_axis(axes, [int(number) for number in (*ranks, *measured["ranks"])])
    log_axis(axes, min(values), max(values))
    axes.set(xlabel="ranks", ylabel="seconds per epoch")
    legend(axes)
    words = [f"{counted(int(at), 'rank')} {significant(value)} s" for at, value in zip(ranks, seconds, strict=True)]
    return Plot(
        name=name,
        title="Predicted time of an epoch",
        alt=f"Predicted seconds per epoch against ranks, both axes logarithmic. {listed('Predicted', words)}.",
        figure=figure,
        caption=remarks,
        group=f"Prediction: {label}",
    )
