"""The roofline: what each configuration reaches, below what the machine can do at its arithmetic intensity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.figures.scaling import style
from hpcnn.figures.scaling.plot import Plot, spoken
from hpcnn.figures.scaling.points import names_of
from hpcnn.util.text import significant

if TYPE_CHECKING:
    import pandas as pd

# Points and roofs that a picture holds; the table has all.
MOST_POINTS = 10


def roofline_plot(rows: pd.DataFrame, table: pd.DataFrame) -> Plot | None:
    """Return the points of ``rows`` (of ``roofline_table``) and their roofs; None where no row has a roof.

    ``table`` is the scaling table that the rows are of. Both axes are logarithmic. A roof is drawn once for each pair
    of peak and bandwidth.
    """
    known = rows[rows["roof_gflops_per_second"].notna() & rows["intensity"].notna()]
    if known.empty:
        return None
    shown = known.iloc[style.thinned(range(len(known)), MOST_POINTS)]
    names = names_of(table, shown.index)
    figure, (panel,) = style.figure()
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
    ends = [peak / bandwidth for peak, bandwidth in zip(peaks, bandwidths, strict=True)]
    left, right = min(*intensities, *ends) / 4, max(*intensities, *ends) * 4
    lowest = min(*achieved, *(left * bandwidth for bandwidth in bandwidths))
    for number, (peak, bandwidth) in enumerate(dict.fromkeys(zip(peaks, bandwidths, strict=True))):
        ridge = peak / bandwidth
        label = f"{significant(peak)} GFLOP/s, {significant(bandwidth)} GB/s"
        panel.plot(
            [left, ridge, right],
            [left * bandwidth, peak, peak],
            color=style.light("muted"),
            linestyle=style.DASHES[number % len(style.DASHES)],
            linewidth=1.4,
            label=label,
        )
    for number, (name, x, y) in enumerate(zip(names, intensities, achieved, strict=True)):
        of_series = number % len(style.SERIES)
        marker, colour = style.MARKERS[of_series], style.light(style.SERIES[of_series])
        panel.plot([x], [y], marker, color=colour, markersize=6, label=name, zorder=3)
    style.log_axis(panel, left, right, "x")
    style.log_axis(panel, lowest, max(*peaks, *achieved))
    style.label(panel, "operations for each byte moved (FLOP/byte)", "GFLOP/s")
    style.legend_above(figure, panel)
    words = "; ".join(
        spoken(name, [f"{significant(x)} FLOP/byte", f"{significant(y)} of {significant(roof)} GFLOP/s"])
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
