"""The roofline: operations a second of each configuration, below the machine's limits, over arithmetic intensity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.figures.scaling.plot import Plot, listed
from hpcnn.figures.scaling.points import names_of
from hpcnn.figures.style import DASHES, MUTED, figure_for_page, legend_outside, log_axis, look, styled
from hpcnn.figures.thinned import thinned
from hpcnn.util.text import significant

if TYPE_CHECKING:
    import pandas as pd

# Points and roofs in one figure; the table has all.
MOST_POINTS = 10


@styled
def roofline_plot(rows: pd.DataFrame, table: pd.DataFrame) -> Plot | None:
    """Return the points of ``rows`` (of ``roofline_table``) and their roofs; None where no row has a roof.

    ``table`` is the scaling table that the rows are of. Both axes are logarithmic. A roof is drawn once for each pair
    of peak and bandwidth.
    """
    with_roof = rows[rows["roof_gflops_per_second"].notna() & rows["intensity"].notna()]
    if with_roof.empty:
        return None
    shown = with_roof.iloc[thinned(range(len(with_roof)), MOST_POINTS)]
    names = names_of(table, shown.index)
    figure, (axes,) = figure_for_page()
    intensities, achieved, peaks, roofs, bandwidths = (
        shown[key].astype("float64").tolist()
        for key in (
            "intensity",
            "gflops_per_second",
            "peak_gflops_per_second",
            "roof_gflops_per_second",
            "bandwidth_gbytes_per_second",
        )
    )
    ridges = [peak / bandwidth for peak, bandwidth in zip(peaks, bandwidths, strict=True)]
    left, right = min(*intensities, *ridges) / 4, max(*intensities, *ridges) * 4
    lowest = min(*achieved, *(left * bandwidth for bandwidth in bandwidths))
    for number, (peak, bandwidth) in enumerate(dict.fromkeys(zip(peaks, bandwidths, strict=True))):
        axes.plot(
            [left, peak / bandwidth, right],
            [left * bandwidth, peak, peak],
            color=MUTED,
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.4,
            label=f"{significant(peak)} GFLOP/s, {significant(bandwidth)} GB/s",
        )
    for number, (name, x, y) in enumerate(zip(names, intensities, achieved, strict=True)):
        colour, marker, _ = look(number)
        axes.plot([x], [y], marker, color=colour, markersize=6, label=name, zorder=3)
    log_axis(axes, left, right, "x")
    log_axis(axes, lowest, max(*peaks, *achieved))
    axes.set(xlabel="operations for each byte moved (FLOP/byte)", ylabel="GFLOP/s")
    legend_outside(figure, axes)
    words = "; ".join(
        listed(name, [f"{significant(x)} FLOP/byte", f"{significant(y)} of {significant(roof)} GFLOP/s"])
        for name, x, y, roof in zip(names, intensities, achieved, roofs, strict=True)
    )
    left_out = len(rows) - len(shown)
    more = f" {left_out} of {len(rows)} rows are in the table alone." if left_out else ""
    return Plot(
        name="roofline",
        title="Roofline",
        alt=f"Operations a second over arithmetic intensity, below the roofs of the machine. {words}.",
        figure=figure,
        caption="Lines: memory bandwidth times intensity, up to the peak of the matrix product." + more,
    )
