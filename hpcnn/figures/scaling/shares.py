"""Bars: the parts of an epoch's time, one bar a row; and the images per second of a study of throughput."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.measured import PARTS
from hpcnn.analysis.series import settings_of
from hpcnn.figures.scaling.plot import Plot, listed
from hpcnn.figures.scaling.points import names_of, scaling_kind
from hpcnn.figures.style import COLOURS, MAIN, PAGE, SMALL_TEXT, figure_for_page, legend_outside, styled
from hpcnn.figures.thinned import thinned
from hpcnn.util.text import significant

if TYPE_CHECKING:
    import pandas as pd

# More bars than these are left to the table: they would be thinner than their words.
MOST_BARS = 16
# Fraction of a bar from which there is room for its number.
_ROOM = 0.09
_BAR_HEIGHT = 0.72
_COLOUR_OF_PART = {"compute": "blue", "communication": "vermillion", "input": "green", "other": "muted"}


class _Bars(NamedTuple):
    """The rows to draw, their names, and a remark on the rows that are not drawn."""

    rows: pd.DataFrame
    names: list[str]
    remark: str


@styled
def shares_plot(table: pd.DataFrame) -> Plot | None:
    """Return the share of compute, communication, input and the rest in each row; None where no row has one."""
    rows = table[table[[f"share_{part}" for part in PARTS]].notna().all(axis=1)]
    if rows.empty:
        return None
    shown, names, remark = _bars(table, rows)
    figure, (axes,) = figure_for_page(1.2 + 0.28 * len(shown))
    left = [0.0] * len(shown)
    shares = {part: shown[f"share_{part}"].astype("float64").tolist() for part in PARTS}
    shares["other"] = [max(1 - sum(values), 0.0) for values in zip(*shares.values(), strict=True)]
    for part, values in shares.items():
        colour = COLOURS[_COLOUR_OF_PART[part]].light
        axes.barh(names, values, left=left, height=_BAR_HEIGHT, color=colour, edgecolor="none", label=part, zorder=2)
        for at, (begin, value) in enumerate(zip(left, values, strict=True)):
            if value >= _ROOM:
                middle, text = begin + value / 2, f"{value:.0%}"
                axes.text(middle, at, text, ha="center", va="center", size=SMALL_TEXT, color=PAGE, zorder=3)
        left = [begin + value for begin, value in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(False, axis="y")
    axes.set(xlabel="share of the slowest ranks' epoch time")
    legend_outside(figure, axes)
    words = "; ".join(
        listed(name, [f"{part} {values[at]:.0%}" for part, values in shares.items()]) for at, name in enumerate(names)
    )
    return Plot(
        name="shares",
        title="Where an epoch's time goes",
        alt=f"Share of the epoch time by part. {words}.",
        figure=figure,
        caption="Communication is what is waited for, waiting for slower ranks included." + remark,
    )


@styled
def throughput_plot(table: pd.DataFrame) -> Plot | None:
    """Return images per second of each row of a study of throughput; None for one of scaling, and for a single row."""
    if scaling_kind(table) is not None or len(table) < 2:
        return None
    shown, names, remark = _bars(table, table)
    rates = shown["images_per_second"].astype("float64").tolist()
    figure, (axes,) = figure_for_page(0.9 + 0.28 * len(shown))
    axes.barh(names, rates, height=_BAR_HEIGHT, color=MAIN, zorder=2)
    for at, rate in enumerate(rates):
        axes.annotate(significant(rate), (rate, at), (3, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="images per second")
    words = "; ".join(f"{name}: {significant(rate)}" for name, rate in zip(names, rates, strict=True))
    return Plot(
        name="throughput",
        title="Throughput",
        alt=f"Images per second. {words}.",
        figure=figure,
        caption="Samples of all measured epochs over their seconds." + remark,
    )


def _bars(table: pd.DataFrame, rows: pd.DataFrame) -> _Bars:
    settings = settings_of(table)
    ordered = rows.sort_values([*settings, *SIZE], kind="stable")
    shown = ordered.iloc[thinned(range(len(ordered)), MOST_BARS)]
    names = names_of(table, shown.index)
    left = len(ordered) - len(shown)
    return _Bars(shown, names, f" {left} of {len(ordered)} rows are in the table alone." if left else "")
