"""Loss and accuracy over the epochs, training against test, of one run or several. Reads records, no networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.figures.style import figure_with_title, legend, legend_outside, look, styled, whole_numbers
from hpcnn.rundir.read import RunRecord, read_run
from hpcnn.train.trained import short
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Markers along a line, about.
_MARKERS = 15
_MARKER_SIZE = 4

# Columns of an epoch's record for training and test, and what they hold.
_PANELS = (("metric_accuracy", "validation_accuracy", "accuracy"), ("loss", "validation_loss", "loss"))


@styled
def draw(paths: list[Path]) -> Figure:
    """Return two panels, accuracy and loss: dashed for training, solid for test, one colour and marker a run.

    Raises UsageError where no run has recorded an epoch.
    """
    records = [read_run(path) for path in paths]
    if not any(record.epochs for record in records):
        raise UsageError(f"RUN: no epoch is recorded in {', '.join(str(path) for path in paths)}")
    labels = _labels(paths)
    figure = figure_with_title(9.0, 4.2 + 0.2 * len(records) * (len(records) > 1), _title(records))
    panels = figure.subplots(1, 2)
    for axes, (training, test, name) in zip(panels, _PANELS, strict=True):
        for number, (record, label) in enumerate(zip(records, labels, strict=True)):
            prefix = f"{label}, " if len(records) > 1 else ""
            _draw_line(axes, number, series(record, training), f"{prefix}training", dashed=True)
            _draw_line(axes, number, series(record, test), f"{prefix}test", dashed=False)
        axes.set(xlabel="epoch", ylabel=name)
        whole_numbers(axes.xaxis)
    if len(records) == 1:
        legend(panels[0])
    else:
        legend_outside(figure, panels[0], "lower")
    return figure


def _draw_line(axes: Axes, number: int, line: tuple[list[int], list[float]], label: str, *, dashed: bool) -> None:
    colour, marker, _ = look(number)
    axes.plot(
        *line,
        linestyle="--" if dashed else "-",
        color=colour,
        marker=marker,
        markersize=_MARKER_SIZE,
        markevery=max(len(line[0]) // _MARKERS, 1),
        markerfacecolor="white" if dashed else colour,
        label=label,
    )


def series(record: RunRecord, key: str) -> tuple[list[int], list[float]]:
    """Return the epochs that recorded ``key`` on rank 0, and their values."""
    rows = sorted((row for row in record.epochs if row["rank"] == 0), key=lambda row: row["epoch"])
    found = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    return [epoch for epoch, _ in found], [value for _, value in found]


def _title(records: list[RunRecord]) -> str:
    if len(records) > 1:
        return f"{len(records)} runs: {_common(records, 'model')} on {_common(records, 'data')}"
    run = records[0].run
    what = f"{run['model']} on {short(run['data'])}" if run["data"] else str(run["model"] or run["program"])
    _, tests = series(records[0], "validation_accuracy")
    return f"{run['run']}: {what}" + (f": test accuracy {tests[-1]:.2%}" if tests else "")


def _common(records: list[RunRecord], key: str) -> str:
    values = {short(str(record.run[key])) for record in records}
    return values.pop() if len(values) == 1 else f"{len(values)} {key}s" if key == "model" else "several data sets"


def _labels(paths: list[Path]) -> list[str]:
    """Return a short name of each path: without the folders that all share."""
    if len(paths) == 1:
        return [paths[0].name]
    top = os.path.commonpath(paths)
    return [os.path.relpath(path, top) for path in paths]
