"""Epoch by epoch: the seconds of each, and how the training went on the training and on the test set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.figures.scaling.plot import Plot, listed
from hpcnn.figures.scaling.points import names_of
from hpcnn.figures.style import figure_for_page, legend, legend_outside, log_axis, look, styled, whole_numbers
from hpcnn.figures.thinned import thinned
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hpcnn.analysis.load import RunData
    from hpcnn.analysis.table_runs import TableRuns

# Rows and runs of each that are drawn: more lines hide each other.
MOST_ROWS, MOST_RUNS, MOST_EPOCHS = 5, 8, 200

_PANELS = {
    "loss": {"train": "loss", "test": "validation_loss"},
    "accuracy": {"train": "metric_accuracy", "test": "validation_accuracy"},
}


@styled
def traces_plot(table: pd.DataFrame, table_runs: TableRuns) -> Plot | None:
    """Return the seconds of every measured epoch on its slowest rank, a line a run; None with one epoch."""
    slowest = table_runs.epochs.groupby(["row", "path", "epoch"])["seconds_total"].max().reset_index()
    if slowest["epoch"].nunique() < 2:
        return None
    figure, (axes,) = figure_for_page()
    summaries, runs_left = [], 0
    names = _names_of_rows(table)
    for number, (row, name) in enumerate(names.items()):
        epochs = slowest[slowest["row"] == row]
        paths = list(epochs["path"].unique())
        drawn = thinned(paths, MOST_RUNS)
        runs_left += len(paths) - len(drawn)
        colour, marker, dashes = look(number)
        for position, path in enumerate(drawn):
            line = _decimated(epochs[epochs["path"] == path])
            axes.plot(
                line["epoch"],
                line["seconds_total"],
                color=colour,
                marker=marker,
                linestyle=dashes,
                markersize=2.5,
                linewidth=0.9,
                alpha=0.85,
                label=name if position == 0 else None,
            )
        median, low, high = (significant(float(epochs["seconds_total"].quantile(part))) for part in (0.5, 0.05, 0.95))
        summaries.append(f"{name}: median {median} s, 5 to 95 %: {low} to {high} s")
    log_axis(axes, slowest["seconds_total"].min(), slowest["seconds_total"].max())
    whole_numbers(axes.xaxis)
    axes.set(xlabel="epoch", ylabel="seconds")
    legend(axes)
    not_drawn = _not_drawn(len(table) - len(names), "row") + _not_drawn(runs_left, "run")
    return Plot(
        name="traces",
        title="Every measured epoch",
        alt=f"Seconds of each epoch, a line a run. {'; '.join(summaries)}.",
        figure=figure,
        caption="Slowest rank of each epoch; the warm-up is left out." + not_drawn,
    )


@styled
def learning_plot(table: pd.DataFrame, data: RunData, table_runs: TableRuns) -> Plot | None:
    """Return loss and accuracy after each epoch, train and test, the median over runs; None where none is recorded."""
    epochs = data.epochs.merge(table_runs.runs[["path", "row"]], on="path").drop_duplicates(["path", "epoch"])
    panels = _recorded_panels(epochs)
    if not panels or epochs["epoch"].nunique() < 2:
        return None
    names, summaries = _names_of_rows(table), []
    figure, all_axes = figure_for_page(0.7 + 0.16 * len(names) + 1.9 * len(panels), len(panels))
    for number, (row, name) in enumerate(names.items()):
        of_epoch = epochs[epochs["row"] == row].groupby("epoch")
        colour, marker, _ = look(number)
        last = []
        for axes, (what, keys) in zip(all_axes, panels.items(), strict=True):
            for part, key in keys.items():
                line = _decimated(of_epoch[key].median().dropna().reset_index())
                if line.empty:
                    continue
                axes.plot(
                    line["epoch"],
                    line[key],
                    color=colour,
                    linestyle="-" if part == "test" else ":",
                    marker=marker if part == "test" else None,
                    markersize=3,
                    linewidth=1.3,
                    label=f"{name}, {part}",
                )
                last.append(f"{part} {what} {line[key].iloc[-1]:.4g}")
        summaries.append(listed(f"{name}, after the last epoch", last))
    for axes, what in zip(all_axes, panels, strict=True):
        axes.set(ylabel=what)
        whole_numbers(axes.xaxis)
    all_axes[-1].set(xlabel="epoch")
    legend_outside(figure, all_axes[0])
    return Plot(
        name="learning",
        title="Loss and accuracy",
        alt=f"Loss and accuracy by epoch, train and test. {'; '.join(summaries)}.",
        figure=figure,
        caption="Median over the runs of a row; all epochs, the warm-up too. Train: mean over the epoch while weights "
        "change. Test: after it." + _not_drawn(len(table) - len(names), "row"),
    )


def _recorded_panels(epochs: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the panels and their lines of which some epoch has a value."""
    recorded = {
        what: {part: key for part, key in keys.items() if key in epochs and epochs[key].notna().any()}
        for what, keys in _PANELS.items()
    }
    return {what: keys for what, keys in recorded.items() if keys}


def _names_of_rows(table: pd.DataFrame) -> dict[Hashable, str]:
    """Return the rows to draw, the smallest and the largest among them, as index label to name."""
    shown = thinned(list(table.sort_values(["ranks"], kind="stable").index), MOST_ROWS)
    return dict(zip(shown, names_of(table, shown), strict=True))


def _decimated(line: pd.DataFrame) -> pd.DataFrame:
    return line.iloc[thinned(range(len(line)), MOST_EPOCHS)]


def _not_drawn(number: int, noun: str) -> str:
    return f" {counted(number, f'more {noun}')} not drawn." if number else ""
