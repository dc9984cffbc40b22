"""Pictures of a search: how the best value was found, and what each parameter does to it. Draws; reads no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpcnn.figures.networks.style import BLUE, GREY, VERMILION, new_figure
from hpcnn.search.job import value_text
from hpcnn.search.space import Range, Values, short
from hpcnn.search.spec import Search
from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_PANEL_INCHES, _HEIGHT = 2.6, 3.4


def draw_all(search: Search, study: Study) -> dict[str, Figure]:
    """Return the pictures by name. Raises UsageError where no trial has been completed."""
    from optuna.trial import TrialState

    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not completed:
        raise UsageError(f"{search.name}: no trial has been completed, so there is nothing to draw")
    return {
        "history": history(search, completed),
        "slices": slices(search, completed),
        "parallel": parallel(search, completed),
    }


def history(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Draw the value of each completed trial in turn, and the best one so far."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(6.0, _HEIGHT, f"{search.name}: trials in turn", f"{len(trials)} completed trials")
    axes = figure.subplots()
    numbers, values = [trial.number for trial in trials], [_value(trial) for trial in trials]
    better = max if search.options.maximizes else min
    so_far = [better(values[: count + 1]) for count in range(len(values))]
    axes.plot(numbers, values, "o", color=BLUE, label="a trial")
    axes.step(numbers, so_far, where="post", color=VERMILION, label="the best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(_metric(search))
    axes.legend(frameon=False)
    return figure


def slices(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Draw the value of every trial over each parameter, a panel a parameter."""
    width = max(_PANEL_INCHES * len(search.space), 4.0)
    figure = new_figure(width, _HEIGHT, f"{search.name}: {_metric(search)} over each parameter", "one point a trial")
    panels = figure.subplots(1, len(search.space), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, search.space, strict=True):
        positions, ticks, labels = _positions(search, key, trials)
        axes.plot(positions, [_value(trial) for trial in trials], "o", color=BLUE, alpha=0.7)
        axes.set_xlabel(short(key))
        dimension = search.space[key]
        if isinstance(dimension, Range):
            axes.set_xscale("log" if dimension.log else "linear")
        else:
            axes.set_xticks(ticks, labels)
            axes.set_xlim(-0.5, len(ticks) - 0.5)
    panels[0].set_ylabel(_metric(search))
    return figure


def parallel(search: Search, trials: list[FrozenTrial]) -> Figure:
    """Draw every trial as a line through its parameters to its value; the best tenth, one at least, stands out."""
    figure = new_figure(
        max(1.6 * (len(search.space) + 1), 5.0),
        _HEIGHT,
        f"{search.name}: parameters of each trial",
        "a line is a trial; thick: the best tenth of them",
    )
    axes = figure.subplots()
    scaled, marks = [], []
    for key in search.space:
        positions, ticks, labels = _positions(search, key, trials)
        dimension = search.space[key]
        log = isinstance(dimension, Range) and dimension.log
        low, high = (ticks[0], ticks[-1]) if len(ticks) > 1 else (ticks[0] - 1, ticks[0] + 1)
        scaled.append([_share(position, low, high, log) for position in positions])
        marks.append([(_share(tick, low, high, log), label) for tick, label in zip(ticks, labels, strict=True)])
    values = [_value(trial) for trial in trials]
    low, high = min(values), max(values)
    scaled.append([_share(value, low, high, False) for value in values])
    marks.append([(0.0, value_text(low)), (1.0, value_text(high))])
    order = sorted(range(len(trials)), key=lambda at: values[at], reverse=search.options.maximizes)
    thick = set(order[: max(len(trials) // 10, 1)])
    for at in reversed(order):
        colour, width = (VERMILION, 2.2) if at in thick else (BLUE, 0.8)
        axes.plot(range(len(scaled)), [column[at] for column in scaled], color=colour, linewidth=width)
    for place, column in enumerate(marks):
        axes.axvline(place, color=GREY, linewidth=0.8)
        for height, label in column:
            axes.annotate(label, (place, height), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xticks(range(len(marks)), [*(short(key) for key in search.space), _metric(search)])
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(marks) - 0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _positions(search: Search, key: str, trials: list[FrozenTrial]) -> tuple[list[float], list[float], list[str]]:
    """Return where each trial is on a parameter's axis, and the axis's marks with their words."""
    dimension = search.space[key]
    if isinstance(dimension, Values):
        places = [float(dimension.items.index(trial.params[key])) for trial in trials]
        return places, [float(at) for at in range(len(dimension.items))], [value_text(item) for item in dimension.items]
    ends = [dimension.low, dimension.high]
    return [float(trial.params[key]) for trial in trials], ends, [value_text(end) for end in ends]


def _share(value: float, low: float, high: float, log: bool) -> float:
    """Return where a value lies between two ends: 0 at the lower, 1 at the upper one."""
    import math

    if low == high:
        return 0.5
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _metric(search: Search) -> str:
    words: dict[str, Any] = {"accuracy": "test accuracy", "best_accuracy": "best test accuracy", "loss": "test loss"}
    return str(words[search.options.metric])
