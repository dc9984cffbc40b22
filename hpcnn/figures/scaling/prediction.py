"""What larger configurations are predicted to reach, beside what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpcnn.figures.scaling import style
from hpcnn.figures.scaling.plot import Plot, spoken
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    import pandas as pd


def prediction_plot(
    predicted: pd.DataFrame, measured: pd.DataFrame, label: str, remarks: str = "", name: str = "prediction"
) -> Plot:
    """Return seconds an epoch against ranks, both logarithmic: predicted, and measured.

    predicted: ``ranks`` and ``seconds_per_epoch``, and, where there are such, ``seconds_all_hidden`` and
    ``seconds_none_hidden``, between which it must lie. measured: rows of a scaling table. remarks: what the prediction
    takes for granted, and how far it was off where it could be checked. name: unique in a report.
    """
    figure, (panel,) = style.figure()
    ranks, seconds, own = predicted["ranks"], predicted["seconds_per_epoch"], measured["epoch_seconds_median"]
    values = [*seconds, *own]
    if {"seconds_all_hidden", "seconds_none_hidden"} <= set(predicted):
        low, high = predicted["seconds_all_hidden"], predicted["seconds_none_hidden"]
        band = "all to none of the communication hidden"
        panel.fill_between(ranks, low, high, color=style.light("vermillion"), alpha=0.15, linewidth=0, label=band)
        values += [*low, *high]
    dashed: dict[str, Any] = {"linestyle": style.DASHES[1], "marker": "s", "markersize": 3.5, "linewidth": 1.3}
    panel.plot(ranks, seconds, color=style.light("vermillion"), label="predicted", **dashed)
    panel.plot(measured["ranks"], own, color=style.light("blue"), marker="o", linestyle="none", label="measured")
    style.rank_axis(panel, [int(number) for number in (*ranks, *measured["ranks"])])
    style.log_axis(panel, min(values), max(values))
    style.label(panel, "ranks", "seconds per epoch")
    style.legend(panel)
    words = [f"{counted(int(at), 'rank')} {significant(value)} s" for at, value in zip(ranks, seconds, strict=True)]
    return Plot(
        name=name,
        title="Predicted time of an epoch",
        alt=f"Predicted seconds per epoch against ranks, both axes logarithmic. {spoken('Predicted', words)}.",
        figure=figure,
        caption=remarks,
        group=f"Prediction: {label}",
    )
