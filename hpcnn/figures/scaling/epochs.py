"""Epoch by epoch: how long each took, and how the training went, on the training and on the test set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from hpcnn.figures.scaling import style
from hpcnn.figures.scaling.plot import Plot, spoken
from hpcnn.figures.scaling.points import names_of
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from hpcnn.analysis.load import RunData
    from hpcnn.analysis.table_runs import Behind

# Rows and runs of each that are drawn: more lines hide each other.
MOST_ROWS, MOST_RUNS, MOST_EPOCHS = 5, 8, 200


def traces_plot(table: pd.DataFrame, of: Behind) -> Plot | None:
    """Return the seconds of every measured epoch, a line a run, as its slowest rank saw it; None with one epoch."""
    slowest = of.epochs.groupby(["row", "path", "epoch"])["seconds_total"].max().reset_index()
    if slowest["epoch"].nunique() < 2:
        return None
    figure, (panel,) = style.figure()
    told, runs_left = [], 0
    sizes = _sizes(table)
    for number, label in enumerate(sizes):
        own = slowest[slowest["row"] == label]
        paths = list(own["path"].unique())
        drawn = style.thinned(paths, MOST_RUNS)
        runs_left += len(paths) - len(drawn)
        for position, path in enumerate(drawn):
            line = _decimated(own[own["path"] == path])
            panel.plot(
                line["epoch"],
                line["seconds_total"],
                color=style.light(style.SERIES[number]),
                marker=style.MARKERS[number],
                linestyle=style.DASHES[number],
                markersize=2.5,
                linewidth=0.9,
                alpha=0.85,
                label=sizes[label] if position == 0 else None,
            )
        median, low, high = (own["seconds_total"].quantile(part) for part in (0.5, 0.05, 0.95))
        told.append(
            f"{sizes[label]}: median {significant(median)} s, 5 to 95 %: {significant(low)} to {significant(high)} s"
        )
    style.log_axis(panel, slowest["seconds_total"].min(), slowest["seconds_total"].max())
    panel.xaxis.get_major_locator().set_params(integer=True)
    style.label(panel, "epoch", "seconds")
    style.legend(panel)
    left = len(table) - len(sizes)
    return Plot(
        name="traces",
        title="Every measured epoch",
        alt=f"Seconds of each epoch, a line a run. {'; '.join(told)}.",
        figure=figure,
        caption="Slowest rank of each epoch; the warm-up is left out." + _left(left, "row") + _left(runs_left, "run"),
    )


def learning_plot(table: pd.DataFrame, data: RunData, of: Behind) -> Plot | None:
    """Return loss and accuracy after each epoch, train and test, the median over runs; None where none is recorded."""
    epochs = data.epochs.merge(of.runs[["path", "row"]], on="path").drop_duplicates(["path", "epoch"])
    panels = {
        "loss": {"train": "loss", "test": "validation_loss"},
        "accuracy": {"train": "metric_accuracy", "test": "validation_accuracy"},
    }
    panels = {
        what: {part: key for part, key in keys.items() if key in epochs and epochs[key].notna().any()}
        for what, keys in panels.items()
    }
    panels = {what: keys for what, keys in panels.items() if keys}
    if not panels or epochs["epoch"].nunique() < 2:
        return None
    sizes, told = _sizes(table), []
    figure, axes = style.figure(height=0.7 + 0.16 * len(sizes) + 1.9 * len(panels), panels=len(panels))
    for number, label in enumerate(sizes):
        own = epochs[epochs["row"] == label].groupby("epoch")
        last = []
        for panel, (what, keys) in zip(axes, panels.items(), strict=True):
            for part, key in keys.items():
                line = _decimated(own[key].median().dropna().reset_index())
                if line.empty:
                    continue
                panel.plot(
                    line["epoch"],
                    line[key],
                    color=style.light(style.SERIES[number]),
                    linestyle="-" if part == "test" else ":",
                    marker=style.MARKERS[number] if part == "test" else None,
                    markersize=3,
                    linewidth=1.3,
                    label=f"{sizes[label]}, {part}",
                )
                last.append(f"{part} {what} {line[key].iloc[-1]:.4g}")
        told.append(spoken(f"{sizes[label]}, after the last epoch", last))
    for panel, what in zip(axes, panels, strict=True):
        style.label(panel, None, what)
        panel.xaxis.get_major_locator().set_params(integer=True)
    style.label(axes[-1], "epoch")
    style.legend_above(figure, axes[0])
    return Plot(
        name="learning",
        title="Loss and accuracy",
        alt=f"Loss and accuracy by epoch, train and test. {'; '.join(told)}.",
        figure=figure,
        caption="Median over the runs of a row; all epochs, the warm-up too. Train: mean over the epoch while weights "
        "change. Test: after it." + _left(len(table) - len(sizes), "row"),
    )


def _sizes(table: pd.DataFrame) -> dict[Any, str]:
    """Return the rows to draw, by label: the smallest and the largest among them; and what they are called."""
    shown = style.thinned(list(table.sort_values(["ranks"], kind="stable").index), MOST_ROWS)
    return dict(zip(shown, names_of(table, shown), strict=True))


def _decimated(line: pd.DataFrame) -> pd.DataFrame:
    return line.iloc[style.thinned(range(len(line)), MOST_EPOCHS)]


def _left(number: int, noun: str) -> str:
    return f" {counted(number, f'more {noun}')} not drawn." if number else ""
