"""The axis of the number of ranks: logarithmic, with ticks at the measured numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.figures.thinned import thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_MOST_TICKS = 8


def rank_axis(axes: Axes, ranks: Sequence[int]) -> None:
    """Make x logarithmic, with ticks at the measured numbers of ranks alone: at most eight, the ends among them."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(thinned(sorted(set(ranks)), _MOST_TICKS)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if len(set(ranks)) == 1:
        axes.set_xlim(ranks[0] / 2, ranks[0] * 2)
