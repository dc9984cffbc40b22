"""Views of the tables of the roofline: what each configuration uses of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, placement, tables_of, title, warm_up
from hpcnn.report.views.view import Row, View, count, number, percent, setting
from hpcnn.util.table import Column, narrowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


# What a table shows without --wide.
_NARROW = ("ranks", "images_per_second", "gflops_per_second", "share_of_peak", "intensity", "roof_gflops_per_second")


def roofline_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``roofline_table``."""
    if table.empty:
        return [View("Roofline", [], [], caption="no run has counted its operations (docs/profiling.md)")]
    views = []
    for rows, same, varying in tables_of(table, rules):
        columns = [
            count("ranks", "ranks"),
            count("nodes", "nodes"),
            *(setting(key) for key in varying),
            count("threads", "threads/rank"),
            count("runs", "runs"),
            number("images_per_second", "images/s"),
            Column("flops_per_image", "MFLOP/image", _millions, right=True),
            number("gflops_per_second", "GFLOP/s"),
            percent("share_of_peak", "of peak"),
            number("peak_gflops_per_second", "peak"),
            number("intensity", "FLOP/byte"),
            number("bandwidth_gbytes_per_second", "GB/s"),
            number("roof_gflops_per_second", "roof"),
        ]
        columns = narrowed(columns, (*_NARROW, *placement(rows, varying), *varying))
        views.append(View(title(rows, "roofline"), rows, columns, same, _caption(rows, rules)))
    return views


def _millions(operations: float) -> str:
    from hpcnn.util.text import significant

    return significant(operations / 1e6)


def _caption(rows: Sequence[Row], rules: Rules) -> str:
    parts = [
        "GFLOP/s: counted operations of matrix products and convolutions of a training step, times images/s",
        warm_up(rules.warmup),
    ]
    without = sum(row["peak_gflops_per_second"] is None for row in rows)
    if without < len(rows):
        parts.append("peak, GB/s: measured (hpcnn bench machine), of all nodes or GPUs of a row")
        parts.append("roof: the lower of peak and GB/s times FLOP/byte, with no cache that outlives a layer")
    if without == len(rows):
        parts.append("no ceilings were measured for these rows: hpcnn bench machine, then --machine FILE")
    elif without:
        parts.append(f"{without} of {len(rows)} rows have no ceiling measured with their threads, device and precision")
    return "; ".join(parts)
