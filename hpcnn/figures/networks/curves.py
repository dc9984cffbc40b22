"""Loss and accuracy over the epochs, training against test, of one run or several. Reads records, no networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hpcnn.figures.style import figure_with_title, legend, legend_outside, look, styled, whole_numbers
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import RunRecord, read_run
from hpcnn.rundir.settings import differing, settings_of, words
from hpcnn.train.trained import short
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Markers along a line, about.
_MARKERS = 15
_MARKER_SIZE = 4
# Of a line, and what is added for each that lies on it.
_LINE_WIDTH, _WIDER = 1.5, 2.0

# Epochs, and the values after them.
Line: TypeAlias = "tuple[list[int], list[float]]"

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
        lines = {key: [series(record, key) for record in records] for key in (training, test)}
        for number, label in enumerate(labels):
            prefix = f"{label}: " if len(records) > 1 else ""
            for key, what in ((training, "training"), (test, "test")):
                line = lines[key][number]
                twins = [other for other, drawn in enumerate(lines[key]) if other != number and _coincide(line, drawn)]
                _draw_line(axes, number, line, f"{prefix}{what}", twins, dashed=key == training)
        axes.set(xlabel="epoch", ylabel=name)
        whole_numbers(axes.xaxis)
    if len(records) == 1:
        legend(panels[0])
    else:
        legend_outside(figure, panels[0], "lower")
    return figure


def _coincide(line: Line, other: Line) -> bool:
    """Return whether two lines lie on each other: the same epochs, and values within a hundredth of their range."""
    if line[0] != other[0] or not line[0]:
        return False
    every = [*line[1], *other[1]]
    near = 0.01 * (max(every) - min(every))
    return all(abs(one - two) <= near for one, two in zip(line[1], other[1], strict=True))


def _draw_line(axes: Axes, number: int, line: Line, label: str, twins: list[int], *, dashed: bool) -> None:
    """Draw a line; of those that coincide, the first is the widest, and their markers take turns."""
    colour, marker, _ = look(number)
    above, below = sum(twin > number for twin in twins), sum(twin < number for twin in twins)
    step = max(len(line[0]) // _MARKERS, 1) * (len(twins) + 1)
    axes.plot(
        *line,
        linestyle="--" if dashed else "-",
        color=colour,
        marker=marker,
        markersize=_MARKER_SIZE,
        linewidth=_LINE_WIDTH + _WIDER * above,
        markevery=(min(below * (step // (len(twins) + 1)), max(len(line[0]) - 1, 0)), step),
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
    """Return what each run has that not all have, as ``ntasks 2``; with its path where several have the same."""
    if len(paths) == 1:
        return [paths[0].name]
    top = os.path.commonpath(paths)
    names = [os.path.relpath(path, top) for path in paths]
    settings = differing([settings_of(read_json(RunDir(path).spec) or {}) for path in paths])
    texts = [words(one, without=("name", "study")) for one in settings]
    return [
        name if not text else text if texts.count(text) == 1 else f"{text} ({name})"
        for text, name in zip(texts, names, strict=True)
    ]
