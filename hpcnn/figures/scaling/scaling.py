"""Time, speed-up and efficiency against the number of ranks, with the bounds that can be drawn.

Bounds: ideal, Amdahl's fit, and the measured ceiling without communication (Hoefler and Belli, SC15, rule 11);
intervals at the points, which are joined only within one series (rule 12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcnn.figures.scaling import style
from hpcnn.figures.scaling.plot import Plot, spoken
from hpcnn.figures.scaling.points import (
    ceiling_seconds,
    coverage,
    fits_of,
    ratio_bars,
    scaling_of,
    series_in,
    time_bars,
)
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from hpcnn.analysis.fits import FittedSeries
    from hpcnn.figures.scaling.points import Array, Series

# Points of a drawn curve.
_CURVE = 64


def time_plot(table: pd.DataFrame, fitted: list[FittedSeries] | None = None) -> Plot | None:
    """Return seconds an epoch against ranks, both logarithmic; None for a table that does not scale."""
    series, more = _series(table)
    if not series:
        return None
    strong = scaling_of(table) == "strong"

    def ideal(one: Series) -> Array:
        base = one.bases["epoch_seconds_median"].to_numpy("float64")
        return base / one.ideal if strong else base

    figure, (panel,) = style.figure()
    values = _draw(panel, series, "epoch_seconds_median", time_bars, ideal, ceiling_seconds, "lower bound")
    values += _curves(panel, series, fitted, ("seconds", "seconds_low", "seconds_high"))
    style.log_axis(panel, *_ends(values))
    style.label(panel, "ranks", "seconds per epoch")
    style.legend(panel, loc="upper right" if strong else "lower left")
    words = _words(series, lambda row: f"{significant(row['epoch_seconds_median'])} s{_between(row)}")
    return Plot(
        name="time",
        title="Time of an epoch",
        alt=f"Seconds per epoch against ranks, both axes logarithmic. {words}.",
        figure=figure,
        caption=_caption(series, more, of_ratio=False),
    )


def speedup_plot(table: pd.DataFrame, fitted: list[FittedSeries] | None = None) -> Plot | None:
    """Return the speed-up over the base case against ranks, both logarithmic; None for other than strong scaling."""
    series, more = _series(table)
    if not series or scaling_of(table) != "strong":
        return None

    def bars(one: Series) -> Array:
        return ratio_bars(one, "speedup")

    def ceiling(one: Series) -> Array:
        bound: Array = one.bases["epoch_seconds_median"].to_numpy("float64") / ceiling_seconds(one)
        return bound

    figure, (panel,) = style.figure()
    values = _draw(panel, series, "speedup", bars, lambda one: one.ideal, ceiling, "upper bound")
    values += _curves(panel, series, fitted, ("speedup", "low", "high"), relative=True)
    style.log_axis(panel, *_ends(values))
    style.label(panel, "ranks", "speed-up over the base case")
    style.legend(panel, loc="upper left")
    words = _words(series, lambda row: f"{row['speedup']:.2f}")
    return Plot(
        name="speedup",
        title="Speed-up",
        alt=f"Speed-up over the base case against ranks, both axes logarithmic. {words}.",
        figure=figure,
        caption=_caption(series, more, of_ratio=True),
    )


def efficiency_plot(table: pd.DataFrame) -> Plot | None:
    """Return the efficiency against ranks; None for a table that does not scale."""
    series, more = _series(table)
    if not series:
        return None

    def bars(one: Series) -> Array:
        return ratio_bars(one, "efficiency")

    figure, (panel,) = style.figure()
    values = _draw(panel, series, "efficiency", bars, lambda one: np.ones(len(one.rows)), None, "")
    panel.set_ylim(0, max(1.1, 1.05 * max(values)))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    style.label(panel, "ranks", "efficiency")
    style.legend(panel, loc="lower left")
    words = _words(series, lambda row: f"{row['efficiency']:.1%}")
    return Plot(
        name="efficiency",
        title="Efficiency",
        alt=f"Efficiency against ranks; 100 % is ideal. {words}.",
        figure=figure,
        caption=_caption(series, more, of_ratio=True),
    )


def _series(table: pd.DataFrame) -> tuple[list[Series], int]:
    """Return the series to draw, none where no table of scaling has a second size."""
    if scaling_of(table) is None:
        return [], 0
    series, more = series_in(table)
    return (series, more) if any(len(one.rows) > 1 for one in series) else ([], 0)


def _draw(
    panel: Any,
    series: list[Series],
    key: str,
    bars: Callable[[Series], Array],
    ideal: Callable[[Series], Array],
    ceiling: Callable[[Series], Array] | None,
    bound: str,
) -> list[float]:
    """Draw points with their bars, ideal lines and ceilings; return all values, for the axis."""
    seen: list[float] = []
    ideals: set[tuple[float, ...]] = set()
    for number, one in enumerate(series):
        ranks, values = np.array(one.ranks), one.rows[key].to_numpy("float64")
        reach = np.clip(np.nan_to_num(bars(one)), 0, None)
        line = ideal(one)
        if tuple(line) not in ideals:
            known = None if ideals else "ideal"
            panel.plot(ranks, line, color=style.light("muted"), linestyle="--", linewidth=1.2, label=known, zorder=1)
            ideals.add(tuple(line))
        panel.errorbar(
            ranks,
            values,
            yerr=reach,
            color=style.light(style.SERIES[number]),
            marker=style.MARKERS[number],
            linestyle=style.DASHES[number] if one.joined else "none",
            markersize=5,
            linewidth=1.5,
            capsize=3,
            label=one.label or "measured",
            zorder=3,
        )
        seen += [*values, *line, *(values - reach[0]), *(values + reach[1])]
        if ceiling is not None and not np.isnan(limit := ceiling(one)).all():
            told = f"without communication ({bound})" if number == 0 else None
            colour = style.light(style.SERIES[number])
            panel.plot(ranks, limit, color=colour, marker="_", markersize=9, linestyle="none", label=told, zorder=2)
            seen += [*limit]
    style.rank_axis(panel, [rank for one in series for rank in one.ranks])
    return [value for value in seen if np.isfinite(value) and value > 0]


def _curves(
    panel: Any,
    series: list[Series],
    fitted: list[FittedSeries] | None,
    keys: tuple[str, str, str],
    relative: bool = False,
) -> list[float]:
    """Draw Amdahl's bound and the best fit with its band, of the first series that has one; return their values."""
    for number, one in enumerate(series):
        fits = fits_of(one, fitted)
        shown = [fits[name] for name in ("amdahl", "usl", "gustafson") if name in fits]
        if not shown:
            continue
        if relative and int(one.bases["ranks"].iloc[0]) != min(one.ranks):
            continue  # a fit is relative to the smallest size of the series, this table to another
        ranks = sorted({round(number) for number in np.geomspace(min(one.ranks), max(one.ranks), _CURVE)})
        values: list[float] = []
        for fit in shown:
            curve = fit.curve(ranks)
            name, low, high = keys
            colour = style.light("ink" if fit.model == "amdahl" else style.SERIES[number])
            dashes = (0, (1, 1.5)) if fit.model == "amdahl" else (0, (4, 1, 1, 1))
            label = {"amdahl": "Amdahl's law, fitted", "usl": "USL, fitted", "gustafson": "Gustafson's law, fitted"}
            panel.plot(ranks, curve[name], color=colour, linestyle=dashes, linewidth=1.2, label=label[fit.model])
            values += [*curve[name]]
            if fit is shown[-1] and curve[low].notna().any():
                band = f"{fit.confidence:.0%} band"
                panel.fill_between(ranks, curve[low], curve[high], color=colour, alpha=0.15, linewidth=0, label=band)
                values += [*curve[low], *curve[high]]
        return [value for value in values if np.isfinite(value) and value > 0]
    return []


def _words(series: list[Series], value: Callable[[Any], str]) -> str:
    """Return every series with its numbers, for who cannot see them."""
    told = []
    for one in series:
        rows = one.rows.astype(object).to_dict("records")
        values = [f"{counted(row['ranks'], 'rank')} {value(row)}" for row in rows]
        told.append(spoken(one.label or "Measured", values))
    return "; ".join(told)


def _between(row: Any) -> str:
    low, high = row.get("interval_low"), row.get("interval_high")
    if low is None or high is None or np.isnan(low) or np.isnan(high):
        return ""
    return f" (interval {significant(low)} to {significant(high)} s)"


def _caption(series: list[Series], more: int, *, of_ratio: bool) -> str:
    parts = ["Base case: " + " | ".join(dict.fromkeys(case for one in series for case in one.bases.index)) + "."]
    least = coverage(series, of_ratio=of_ratio)
    if least is None:
        parts.append("One run a size carries no interval.")
    elif of_ratio:
        parts.append(f"Bars: from both times' intervals; they cover the ratio with {least:.1%} or more.")
    else:
        parts.append(f"Bars: the exact interval of the median over runs; the least coverage is {least:.1%}.")
    if any(not one.joined for one in series):
        parts.append("Points of one number of ranks measured in several ways are not joined.")
    if more:
        parts.append(f"{more} more series are in the table alone.")
    return " ".join(parts)


def _ends(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)
