"""Which rank computes longer than the others, epoch by epoch: a map of ranks and epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcnn.figures.scaling import style
from hpcnn.figures.scaling.plot import Plot
from hpcnn.util.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.analysis.table_runs import Behind

Array = np.ndarray[Any, Any]

# Cells of the map each way; more are summarised by the largest of a block, so that no slow rank disappears.
MOST_RANKS, MOST_EPOCHS = 64, 96
# The colours reach at least so far from 1, so that noise does not look like imbalance.
_LEAST_REACH = 0.05


def imbalance_plot(table: pd.DataFrame, of: Behind) -> Plot | None:
    """Return each rank's own seconds (compute and input) over the mean of all ranks, by epoch.

    Of the typical run (median time) of the row with the most processes. None where there is one process, or where runs
    do not tell what a rank did itself: all ranks' totals are alike, for all wait for the slowest.
    """
    epochs = of.epochs.assign(own=of.epochs["seconds_compute"] + of.epochs["seconds_input"]).dropna(subset=["own"])
    processes = epochs.groupby("row")["rank"].nunique()
    if processes.empty or processes.max() < 2:
        return None
    label: Any = processes.idxmax()
    path = _typical(epochs[epochs["row"] == label])
    own = epochs[epochs["path"] == path].pivot(index="rank", columns="epoch", values="own")
    ratio = (own / own.mean()).to_numpy("float64")
    by_rank = own.mean(axis=1) / own.mean(axis=1).mean()
    cells, ranks_each, epochs_each = _blocks(ratio)
    reach = max(_LEAST_REACH, float(np.abs(cells - 1).max()))

    figure, (panel,) = style.figure(height=min(1.6 + 0.16 * len(cells), 4.2))
    low, high = int(own.index.min()), int(own.index.max())
    first, last = int(own.columns.min()), int(own.columns.max())
    image = panel.imshow(
        cells,
        aspect="auto",
        cmap="PuOr_r",  # of ColorBrewer's maps that colour-blind readers can tell both ends of
        vmin=1 - reach,
        vmax=1 + reach,
        interpolation="none",
        extent=(first - 0.5, last + 0.5, high + 0.5, low - 0.5),
    )
    panel.grid(False)
    for axis in (panel.xaxis, panel.yaxis):
        axis.get_major_locator().set_params(integer=True)
    style.label(panel, "epoch", "rank")
    bar = figure.colorbar(image, ax=panel, format=lambda value, _: f"{value:.2f}")
    bar.set_label("own time over mean", color=style.light("ink"))
    bar.ax.tick_params(colors=style.light("ink"))
    bar.outline.set_visible(False)
    means = by_rank.to_dict()
    slowest, fastest = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    ranks = counted(int(table["ranks"].to_dict()[label]), "rank")
    blocks = f" A cell is the largest of {ranks_each} ranks and {epochs_each} epochs." if len(cells) < len(own) else ""
    if not blocks and cells.shape[1] < own.shape[1]:
        blocks = f" A cell is the largest of {epochs_each} epochs."
    return Plot(
        name="imbalance",
        title="Balance of the ranks",
        alt=f"Own time of each rank over the mean of all, by epoch, {ranks}. Longest: rank {slowest}, "
        f"{means[slowest]:.3f} of the mean; shortest: rank {fastest}, {means[fastest]:.3f}; single epochs from "
        f"{ratio.min():.3f} to {ratio.max():.3f}.",
        figure=figure,
        caption=f"Compute and input, without waiting; the run of median time among those with {ranks}.{blocks}",
    )


def _typical(epochs: pd.DataFrame) -> str:
    """Return the path of the run whose median epoch is the (lower) median of its row."""
    slowest = epochs.groupby(["path", "epoch"])["seconds_total"].max()
    ordered = slowest.groupby("path").median().sort_values(kind="stable")
    return str(ordered.index[(len(ordered) - 1) // 2])


def _blocks(ratio: Array) -> tuple[Array, int, int]:
    """Return at most MOST_RANKS x MOST_EPOCHS cells, the largest of each block, and the block's size."""
    ranks, epochs = (-(-length // most) for length, most in zip(ratio.shape, (MOST_RANKS, MOST_EPOCHS), strict=True))
    rows = np.maximum.reduceat(ratio, np.arange(0, ratio.shape[0], ranks), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, ratio.shape[1], epochs), axis=1), ranks, epochs
