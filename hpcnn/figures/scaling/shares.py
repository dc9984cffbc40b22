"""Where an epoch's seconds go, one bar a row; and what a study of throughput compares: images per second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpcnn.analysis.base import SIZE
from hpcnn.analysis.measured import PARTS
from hpcnn.analysis.series import settings_of
from hpcnn.figures.scaling import style
from hpcnn.figures.scaling.plot import Plot, spoken
from hpcnn.figures.scaling.points import names_of, scaling_of
from hpcnn.util.text import significant

if TYPE_CHECKING:
    import pandas as pd

# More bars than these are left to the table: they would be thinner than their words.
MOST_BARS = 16
# Fraction of a bar from which there is room for its number.
_ROOM = 0.09


def shares_plot(table: pd.DataFrame) -> Plot | None:
    """Return the share of compute, communication, input and the rest in each row; None where no row has one."""
    rows = table[table[[f"share_{part}" for part in PARTS]].notna().all(axis=1)]
    if rows.empty:
        return None
    shown, names, more = _bars(table, rows)
    figure, (panel,) = style.figure(height=1.2 + 0.28 * len(shown))
    left = [0.0] * len(shown)
    shares = {part: shown[f"share_{part}"].astype("float64").tolist() for part in PARTS}
    shares["other"] = [max(1 - sum(values), 0.0) for values in zip(*shares.values(), strict=True)]
    for part, values in shares.items():
        colour = style.light(style.PARTS[part])
        panel.barh(names, values, left=left, height=0.72, color=colour, edgecolor="none", label=part, zorder=2)
        for at, (begin, value) in enumerate(zip(left, values, strict=True)):
            if value >= _ROOM:
                middle, words = begin + value / 2, f"{value:.0%}"
                panel.text(middle, at, words, ha="center", va="center", size=8, color=style.light("page"), zorder=3)
        left = [begin + value for begin, value in zip(left, values, strict=True)]
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.grid(False, axis="y")
    style.label(panel, "share of the slowest ranks' epoch time")
    style.legend_above(figure, panel)
    words = "; ".join(
        spoken(name, [f"{part} {values[at]:.0%}" for part, values in shares.items()]) for at, name in enumerate(names)
    )
    return Plot(
        name="shares",
        title="Where an epoch's time goes",
        alt=f"Share of the epoch time by part. {words}.",
        figure=figure,
        caption="Communication is what is waited for, waiting for slower ranks included." + more,
    )


def throughput_plot(table: pd.DataFrame) -> Plot | None:
    """Return images per second of each row of a study of throughput; None for one of scaling, and for a single row."""
    if scaling_of(table) is not None or len(table) < 2:
        return None
    shown, names, more = _bars(table, table)
    rates = shown["images_per_second"].astype("float64").tolist()
    figure, (panel,) = style.figure(height=0.9 + 0.28 * len(shown))
    panel.barh(names, rates, height=0.72, color=style.light("blue"), zorder=2)
    for at, rate in enumerate(rates):
        panel.annotate(
            significant(rate), (rate, at), (3, 0), textcoords="offset points", va="center", color=style.light("ink")
        )
    panel.invert_yaxis()
    panel.margins(x=0.18)
    panel.grid(False, axis="y")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    style.label(panel, "images per second")
    words = "; ".join(f"{name}: {significant(rate)}" for name, rate in zip(names, rates, strict=True))
    return Plot(
        name="throughput",
        title="Throughput",
        alt=f"Images per second. {words}.",
        figure=figure,
        caption="Samples of all measured epochs over their seconds." + more,
    )


def _bars(table: pd.DataFrame, rows: pd.DataFrame) -> tuple[Any, list[str], str]:
    """Return the rows to draw, their names, and what is said of those that are not drawn."""
    settings = settings_of(table)
    ordered = rows.sort_values([*settings, *SIZE], kind="stable")
    shown = ordered.iloc[style.thinned(range(len(ordered)), MOST_BARS)]
    names = names_of(table, shown.index)
    left = len(ordered) - len(shown)
    return shown, names, f" {left} of {len(ordered)} rows are in the table alone." if left else ""
