"""The balance of the ranks: how long each one computes, epoch by epoch, as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpcnn.figures.scaling.plot import Plot
from hpcnn.figures.style import figure_for_page, styled, whole_numbers
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Hashable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpcnn.analysis.table_runs import TableRuns
    from hpcnn.util.types import Array

# Cells of the map each way; of more, a cell is the largest of a block, so that no slow rank disappears.
MOST_RANKS, MOST_EPOCHS = 64, 96
# The colours reach at least so far from 1, so that noise does not look like imbalance.
_LEAST_REACH = 0.05
# Of ColorBrewer's maps, one whose ends colour-blind readers tell apart.
_COLOUR_MAP = "PuOr_r"


@styled
def imbalance_plot(table: pd.DataFrame, table_runs: TableRuns) -> Plot | None:
    """Return each rank's own seconds (compute and input) over the mean of all ranks, by epoch.

    Of the typical run (median time) of the row with the most processes. None where there is one process, or where the
    runs do not record a rank's own seconds: all ranks' totals are alike, for all wait for the slowest.
    """
    epochs = table_runs.epochs
    epochs = epochs.assign(own=epochs["seconds_compute"] + epochs["seconds_input"]).dropna(subset=["own"])
    processes = epochs.groupby("row")["rank"].nunique()
    if processes.empty or processes.max() < 2:
        return None
    row: Hashable = processes.idxmax()
    path = _typical_run(epochs[epochs["row"] == row])
    own = epochs[epochs["path"] == path].pivot(index="rank", columns="epoch", values="own")
    ratio = (own / own.mean()).to_numpy("float64")
    cells, ranks_each, epochs_each = _blocks(ratio)
    figure, (axes,) = figure_for_page(min(1.6 + 0.16 * len(cells), 4.2))
    _draw_map(figure, axes, cells, own)

    by_rank = (own.mean(axis=1) / own.mean(axis=1).mean()).to_dict()
    slowest, fastest = max(by_rank, key=by_rank.__getitem__), min(by_rank, key=by_rank.__getitem__)
    ranks = counted(int(table["ranks"].to_dict()[row]), "rank")
    blocks = f" A cell is the largest of {ranks_each} ranks and {epochs_each} epochs." if len(cells) < len(own) else ""
    if not blocks and cells.shape[1] < own.shape[1]:
        blocks = f" A cell is the largest of {epochs_each} epochs."
    return Plot(
        name="imbalance",
        title="Balance of the ranks",
        alt=f"Own time of each rank over the mean of all, by epoch, {ranks}. Longest: rank {slowest}, "
        f"{by_rank[slowest]:.3f} of the mean; shortest: rank {fastest}, {by_rank[fastest]:.3f}; single epochs from "
        f"{ratio.min():.3f} to {ratio.max():.3f}.",
        figure=figure,
        caption=f"Compute and input, without waiting; the run of median time among those with {ranks}.{blocks}",
    )


def _draw_map(figure: Figure, axes: Axes, cells: Array, own: pd.DataFrame) -> None:
    """Draw the cells (ranks x epochs) where the ranks and epochs of ``own`` are."""
    reach = max(_LEAST_REACH, float(np.abs(cells - 1).max()))
    low, high = int(own.index.min()), int(own.index.max())
    first, last = int(own.columns.min()), int(own.columns.max())
    image = axes.imshow(
        cells,
        aspect="auto",
        cmap=_COLOUR_MAP,
        vmin=1 - reach,
        vmax=1 + reach,
        interpolation="none",
        extent=(first - 0.5, last + 0.5, high + 0.5, low - 0.5),
    )
    axes.grid(False)
    whole_numbers(axes.xaxis, axes.yaxis)
    axes.set(xlabel="epoch", ylabel="rank")
    bar = figure.colorbar(image, ax=axes, format=lambda value, _: f"{value:.2f}")
    bar.set_label("own time over mean")
    bar.outline.set_visible(False)


def _typical_run(epochs: pd.DataFrame) -> str:
    """Return the path of the run whose median epoch is the (lower) median of its row."""
    slowest = epochs.groupby(["path", "epoch"])["seconds_total"].max()
    ordered = slowest.groupby("path").median().sort_values(kind="stable")
    return str(ordered.index[(len(ordered) - 1) // 2])


def _blocks(ratio: Array) -> tuple[Array, int, int]:
    """Return at most MOST_RANKS x MOST_EPOCHS cells, the largest of each block, and the block's size."""
    ranks, epochs = (-(-length // most) for length, most in zip(ratio.shape, (MOST_RANKS, MOST_EPOCHS), strict=True))
    rows = np.maximum.reduceat(ratio, np.arange(0, ratio.shape[0], ranks), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, ratio.shape[1], epochs), axis=1), ranks, epochs
