"""Loss and accuracy over the epochs, training against test, of one run or several. Reads records, no networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpcnn.figures.networks.style import COLOURS, MARKERS, new_figure
from hpcnn.rundir.read import RunRecord, read_run
from hpcnn.train.trained import short
from hpcnn.util.errors import UsageError

# Markers along a line, about.
_MARKERS = 15

# key of an epoch's row for training and test, and what it is
_PANELS = (("metric_accuracy", "validation_accuracy", "accuracy"), ("loss", "validation_loss", "loss"))


def draw(paths: list[Path]) -> Figure:
    """Return two panels, accuracy and loss: dashed for training, solid for test, one colour and marker a run.

    Raises UsageError where no run has recorded an epoch.
    """
    records = [read_run(path) for path in paths]
    if not any(record.epochs for record in records):
        raise UsageError(f"RUN: no epoch is recorded in {', '.join(str(path) for path in paths)}")
    labels = _labels(paths)
    figure = new_figure(9.0, 4.2 + 0.2 * len(records) * (len(records) > 1), _title(records))
    panels = figure.subplots(1, 2)
    for axes, (training, test, name) in zip(panels, _PANELS, strict=True):
        for number, (record, label) in enumerate(zip(records, labels, strict=True)):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            every = max(len(series(record, "loss")[0]) // _MARKERS, 1)
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "markevery": every}
            prefix = f"{label}, " if len(records) > 1 else ""
            axes.plot(*series(record, training), "--", **style, markerfacecolor="white", label=f"{prefix}training")
            axes.plot(*series(record, test), "-", **style, label=f"{prefix}test")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    if len(records) == 1:
        panels[0].legend()
    else:
        handles, texts = panels[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower center", ncols=2, fontsize=8)
    return figure


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
    """Return what tells the paths apart: each without the folders that all share."""
    if len(paths) == 1:
        return [paths[0].name]
    top = os.path.commonpath(paths)
    return [os.path.relpath(path, top) for path in paths]
