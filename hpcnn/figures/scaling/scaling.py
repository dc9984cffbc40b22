"""Time, speed-up and efficiency against the number of ranks, with their bounds and intervals.

Bounds: ideal, Amdahl's fit, and the measured ceiling without communication (Hoefler and Belli, SC15, rule 11);
intervals at the points, and lines only within one series (rule 12).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.figures.scaling.axes import rank_axis
from hpcnn.figures.scaling.plot import Plot, listed
from hpcnn.figures.scaling.points import (
    ceiling_seconds,
    fits_of,
    least_coverage,
    placements,
    ratio_bars,
    scaling_kind,
    series_in,
    time_bars,
)
from hpcnn.figures.style import INK, MUTED, figure_for_page, legend, log_axis, look, styled
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from matplotlib.axes import Axes

    from hpcnn.analysis.fits import FittedSeries
    from hpcnn.figures.scaling.points import Series
    from hpcnn.figures.style import Dashes
    from hpcnn.util.types import Array, Json

# Points of a fitted curve.
_CURVE_POINTS = 64
_LAW_NAMES = {"amdahl": "Amdahl's law, fitted", "usl": "USL, fitted", "gustafson": "Gustafson's law, fitted"}
_BOUND_DASHES: Dashes = (0, (1, 1.5))
_FIT_DASHES: Dashes = (0, (4, 1, 1, 1))


class _CurveColumns(NamedTuple):
    """The columns of ``Fit.curve`` that a figure shows: the curve, and the ends of its band."""

    value: str
    low: str
    high: str


@styled
def time_plot(table: pd.DataFrame, fitted: list[FittedSeries] | None = None) -> Plot | None:
    """Return seconds an epoch against ranks, both logarithmic; None for a table that does not scale."""
    series, more = _series_to_draw(table)
    if not series:
        return None
    strong = scaling_kind(table) == "strong"

    def ideal(one: Series) -> Array:
        base = one.bases["epoch_seconds_median"].to_numpy("float64")
        return base / one.ideal if strong else base

    figure, (axes,) = figure_for_page()
    values = _draw_series(axes, series, "epoch_seconds_median", time_bars, ideal, ceiling_seconds, "lower bound")
    values += _draw_fits(axes, series, fitted, _CurveColumns("seconds", "seconds_low", "seconds_high"))
    log_axis(axes, min(values), max(values))
    axes.set(xlabel="ranks", ylabel="seconds per epoch")
    legend(axes, "upper right" if strong else "lower left")
    words = _alternative_text(series, lambda row: f"{significant(row['epoch_seconds_median'])} s{_interval_text(row)}")
    return Plot(
        name="time",
        title="Time of an epoch",
        alt=f"Seconds per epoch against ranks, both axes logarithmic. {words}.",
        figure=figure,
        caption=_caption(series, more, of_ratio=False),
    )


@styled
def speedup_plot(table: pd.DataFrame, fitted: list[FittedSeries] | None = None) -> Plot | None:
    """Return the speed-up over the base case against ranks, both logarithmic; None for other than strong scaling."""
    series, more = _series_to_draw(table)
    if not series or scaling_kind(table) != "strong":
        return None

    def bars(one: Series) -> Array:
        return ratio_bars(one, "speedup")

    def ceiling(one: Series) -> Array:
        bound: Array = one.bases["epoch_seconds_median"].to_numpy("float64") / ceiling_seconds(one)
        return bound

    figure, (axes,) = figure_for_page()
    values = _draw_series(axes, series, "speedup", bars, lambda one: one.ideal, ceiling, "upper bound")
    values += _draw_fits(axes, series, fitted, _CurveColumns("speedup", "low", "high"), relative=True)
    log_axis(axes, min(values), max(values))
    axes.set(xlabel="ranks", ylabel="speed-up over the base case")
    legend(axes, "upper left")
    words = _alternative_text(series, lambda row: f"{row['speedup']:.2f}")
    return Plot(
        name="speedup",
        title="Speed-up",
        alt=f"Speed-up over the base case against ranks, both axes logarithmic. {words}.",
        figure=figure,
        caption=_caption(series, more, of_ratio=True),
    )


@styled
def efficiency_plot(table: pd.DataFrame) -> Plot | None:
    """Return the efficiency against ranks; None for a table that does not scale."""
    series, more = _series_to_draw(table)
    if not series:
        return None

    def bars(one: Series) -> Array:
        return ratio_bars(one, "efficiency")

    figure, (axes,) = figure_for_page()
    values = _draw_series(axes, series, "efficiency", bars, lambda one: np.ones(len(one.rows)), None, "")
    axes.set_ylim(0, max(1.1, 1.05 * max(values)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set(xlabel="ranks", ylabel="efficiency")
    legend(axes, "lower left")
    words = _alternative_text(series, lambda row: f"{row['efficiency']:.1%}")
    return Plot(
        name="efficiency",
        title="Efficiency",
        alt=f"Efficiency against ranks; 100 % is ideal. {words}.",
        figure=figure,
        caption=_caption(series, more, of_ratio=True),
    )


def _series_to_draw(table: pd.DataFrame) -> tuple[list[Series], int]:
    """Return the series to draw, none where the table does not scale or has one size; and how many more there are."""
    if scaling_kind(table) is None:
        return [], 0
    series, more = series_in(table)
    return (series, more) if any(len(one.rows) > 1 for one in series) else ([], 0)


def _draw_series(
    axes: Axes,
    series: list[Series],
    key: str,
    bars: Callable[[Series], Array],
    ideal: Callable[[Series], Array],
    ceiling: Callable[[Series], Array] | None,
    bound: str,
) -> list[float]:
    """Draw points with their bars, ideal lines and ceilings; return all values, for the range of the axis."""
    drawn: list[float] = []
    ideals: set[tuple[float, ...]] = set()
    further = itertools.count(len(series))
    for number, one in enumerate(series):
        ranks, values = np.array(one.ranks), one.rows[key].to_numpy("float64")
        reach = np.clip(np.nan_to_num(bars(one)), 0, None)
        colour, marker, dashes = look(number)
        line = ideal(one)
        if tuple(line) not in ideals:
            label = None if ideals else "ideal"
            axes.plot(ranks, line, color=MUTED, linestyle="--", linewidth=1.2, label=label, zorder=1)
            ideals.add(tuple(line))
        for at, (words, own) in enumerate(placements(one)):
            axes.errorbar(
                ranks[own],
                values[own],
                yerr=reach[:, own],
                color=colour,
                marker=look(next(further)).marker if at else marker,
                linestyle=dashes if one.joined else "none",
                markersize=5,
                linewidth=1.5,
                capsize=3,
                label=", ".join(filter(None, (one.label or ("" if words else "measured"), words))),
                zorder=3,
            )
        drawn += [*values, *line, *(values - reach[0]), *(values + reach[1])]
        if ceiling is not None and not np.isnan(limit := ceiling(one)).all():
            label = f"without communication ({bound})" if number == 0 else None
            axes.plot(ranks, limit, color=colour, marker="_", markersize=9, linestyle="none", label=label, zorder=2)
            drawn += [*limit]
    rank_axis(axes, [rank for one in series for rank in one.ranks])
    return _positive(drawn)


def _draw_fits(
    axes: Axes,
    series: list[Series],
    fitted: list[FittedSeries] | None,
    columns: _CurveColumns,
    relative: bool = False,
) -> list[float]:
    """Draw Amdahl's bound and the best fit with its band, of the first series that has one; return their values.

    relative: whether values are relative to the base case; a fit is so to the smallest size of its series.
    """
    for number, one in enumerate(series):
        fits = fits_of(one, fitted)
        shown = [fits[name] for name in ("amdahl", "usl", "gustafson") if name in fits]
        if not shown or (relative and int(one.bases["ranks"].iloc[0]) != min(one.ranks)):
            continue
        ranks = sorted({round(number) for number in np.geomspace(min(one.ranks), max(one.ranks), _CURVE_POINTS)})
        values: list[float] = []
        for fit in shown:
            curve = fit.curve(ranks)
            value, low, high = (curve[column] for column in columns)
            is_bound = fit.model == "amdahl"
            colour, dashes = (INK, _BOUND_DASHES) if is_bound else (look(number).colour, _FIT_DASHES)
            axes.plot(ranks, value, color=colour, linestyle=dashes, linewidth=1.2, label=_LAW_NAMES[fit.model])
            values += [*value]
            if fit is shown[-1] and low.notna().any():
                band = f"{fit.confidence:.0%} band"
                axes.fill_between(ranks, low, high, color=colour, alpha=0.15, linewidth=0, label=band)
                values += [*low, *high]
        return _positive(values)
    return []


def _positive(values: list[float]) -> list[float]:
    """Return the values that a logarithmic axis can show."""
    return [value for value in values if np.isfinite(value) and value > 0]


def _alternative_text(series: list[Series], value: Callable[[Mapping[str, Json]], str]) -> str:
    """Return every series with its numbers, for readers who cannot see them."""
    texts = []
    for one in series:
        rows: list[dict[str, Json]] = one.rows.astype(object).to_dict("records")  # type: ignore[assignment]
        values = [f"{counted(row['ranks'], 'rank')} {value(row)}" for row in rows]
        texts.append(listed(one.label or "Measured", values))
    return "; ".join(texts)


def _interval_text(row: Mapping[str, Json]) -> str:
    low, high = row.get("interval_low"), row.get("interval_high")
    if low is None or high is None or np.isnan(low) or np.isnan(high):
        return ""
    return f" (interval {significant(low)} to {significant(high)} s)"


def _caption(series: list[Series], more: int, *, of_ratio: bool) -> str:
    parts = ["Base case: " + " | ".join(dict.fromkeys(case for one in series for case in one.bases.index)) + "."]
    least = least_coverage(series, of_ratio=of_ratio)
    if least is None:
        parts.append("One run a size carries no interval.")
    elif of_ratio:
        parts.append(f"Bars: the interval of the ratio, by a rank test over runs; the least coverage is {least:.1%}.")
    else:
        parts.append(f"Bars: the exact interval of the median over runs; the least coverage is {least:.1%}.")
    if any(not one.joined for one in series):
        parts.append("Points of one number of ranks measured in several ways are not joined.")
    if more:
        parts.append(f"{more} more series are in the table alone.")
    return " ".join(parts)
