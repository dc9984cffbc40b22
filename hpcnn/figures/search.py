"""Figures of a search: its trials in turn, the value over each parameter, and all trials as lines. Reads no files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from hpcnn.figures.style import (
    ACCENT,
    MAIN,
    MUTED,
    SMALL_TEXT,
    figure_with_title,
    legend,
    log_axis,
    styled,
    whole_numbers,
)
from hpcnn.search.job import value_text
from hpcnn.search.space import Range, Values, short
from hpcnn.search.spec import Search
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_PANEL_INCHES, _HEIGHT = 2.6, 3.4
_METRIC_NAMES = {"accuracy": "test accuracy", "best_accuracy": "best test accuracy", "loss": "test loss"}


class _Scale(NamedTuple):
    """Where each trial is on a parameter's axis, and the ticks of the axis with their texts."""

    positions: list[float]
    ticks: list[float]
    labels: list[str]


class _Column(NamedTuple):
    """One vertical axis of the lines: the height of each trial, and the ticks, both from 0 to 1; below it, a name."""

    name: str
    heights: list[float]
    ticks: list[tuple[float, str]]


def draw_all(search: Search, study: Study) -> dict[str, Figure]:
    """Return the figures by name. Raises UsageError where no trial has been completed."""
    from optuna.trial import TrialState

    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not completed:
        raise UsageError(f"{search.name}: no trial has been completed, so there is nothing to draw")
    return {
        "history": history(search, completed),
        "slices": slices(search, completed),
        "parallel": parallel(search, completed),
    }


@styled
def history(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Draw the value of each completed trial in turn, and the best one so far."""
    figure = figure_with_title(6.0, _HEIGHT, f"{search.name}: trials in turn", f"{len(trials)} completed trials")
    axes = figure.subplots()
    numbers, values = [trial.number for trial in trials], [_value(trial) for trial in trials]
    better = max if search.options.maximizes else min
    so_far = [better(values[: count + 1]) for count in range(len(values))]
    axes.plot(numbers, values, "o", color=MAIN, label="a trial")
    axes.step(numbers, so_far, where="post", color=ACCENT, label="the best so far")
    whole_numbers(axes.xaxis)
    axes.set(xlabel="trial", ylabel=_metric(search))
    legend(axes)
    return figure


@styled
def slices(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Draw the value of every trial over each parameter, a panel a parameter."""
    width = max(_PANEL_INCHES * len(search.space), 4.0)
    figure = figure_with_title(
        width, _HEIGHT, f"{search.name}: {_metric(search)} over each parameter", "one point a trial"
    )
    panels = figure.subplots(1, len(search.space), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, search.space, strict=True):
        positions, ticks, labels = _scale_of(search, key, trials)
        axes.plot(positions, [_value(trial) for trial in trials], "o", color=MAIN, alpha=0.7)
        axes.set_xlabel(short(key))
        dimension = search.space[key]
        if isinstance(dimension, Range):
            if dimension.log:
                log_axis(axes, dimension.low, dimension.high, "x")
        else:
            axes.set_xticks(ticks, labels)
            axes.set_xlim(-0.5, len(ticks) - 0.5)
    panels[0].set_ylabel(_metric(search))
    return figure


@styled
def parallel(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Draw every trial as a line through its parameters to its value; the best tenth, one at least, stands out."""
    figure = figure_with_title(
        max(1.6 * (len(search.space) + 1), 5.0),
        _HEIGHT,
        f"{search.name}: parameters of each trial",
        "a line is a trial; thick: the best tenth of them",
    )
    axes = figure.subplots()
    values = [_value(trial) for trial in trials]
    columns = [*(_column_of(search, key, trials) for key in search.space), _column_of_values(search, values)]
    order = sorted(range(len(trials)), key=lambda at: values[at], reverse=search.options.maximizes)
    thick = set(order[: max(len(trials) // 10, 1)])
    for at in reversed(order):
        colour, width = (ACCENT, 2.2) if at in thick else (MAIN, 0.8)
        axes.plot(range(len(columns)), [column.heights[at] for column in columns], color=colour, linewidth=width)
    for place, column in enumerate(columns):
        _draw_column(axes, place, column)
    axes.set_xticks(range(len(columns)), [column.name for column in columns])
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(columns) - 0.5)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return figure


def _column_of(search: Search, key: str, trials: list[FrozenTrial]) -> _Column:
    positions, ticks, labels = _scale_of(search, key, trials)
    dimension = search.space[key]
    log = isinstance(dimension, Range) and dimension.log
    low, high = (ticks[0], ticks[-1]) if len(ticks) > 1 else (ticks[0] - 1, ticks[0] + 1)
    heights = [_height(position, low, high, log) for position in positions]
    marks = [(_height(tick, low, high, log), label) for tick, label in zip(ticks, labels, strict=True)]
    return _Column(short(key), heights, marks)


def _column_of_values(search: Search, values: list[float]) -> _Column:
    low, high = min(values), max(values)
    heights = [_height(value, low, high, log=False) for value in values]
    return _Column(_metric(search), heights, [(0.0, value_text(low)), (1.0, value_text(high))])


def _draw_column(axes: Axes, place: int, column: _Column) -> None:
    axes.axvline(place, color=MUTED, linewidth=0.8)
    for height, label in column.ticks:
        axes.annotate(label, (place, height), (4, 0), textcoords="offset points", va="center", fontsize=SMALL_TEXT)


def _scale_of(search: Search, key: str, trials: list[FrozenTrial]) -> _Scale:
    dimension = search.space[key]
    if isinstance(dimension, Values):
        places = [float(dimension.items.index(trial.params[key])) for trial in trials]
        ticks = [float(at) for at in range(len(dimension.items))]
        return _Scale(places, ticks, [value_text(item) for item in dimension.items])
    ends = [dimension.low, dimension.high]
    return _Scale([float(trial.params[key]) for trial in trials], ends, [value_text(end) for end in ends])


def _height(value: float, low: float, high: float, log: bool) -> float:
    """Return where a value lies between two ends: 0 at the lower, 1 at the upper one."""
    if low == high:
        return 0.5
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _metric(search: Search) -> str:
    return _METRIC_NAMES[search.options.metric]
