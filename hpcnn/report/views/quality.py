"""Views of the tables of the quality of a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, placement, size, tables_of, title
from hpcnn.report.views.view import View, count, number, setting
from hpcnn.util.table import Column

if TYPE_CHECKING:
    import pandas as pd


def quality_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``quality_table``."""
    views = []
    for rows, same, varying in tables_of(table, rules):
        columns = [
            count("ranks", "ranks"),
            *(count(key, key) for key in placement(rows, varying)),
            *(setting(key) for key in varying),
            count("runs", "runs"),
            Column("first_finished", "first", _minute),
            Column("last_finished", "last", _minute),
            number("span_hours", "span, h"),
            number("largest_gap_hours", "gap, h"),
            Column("with_base", "with base", lambda together: "yes" if together else "no"),
            count("hosts", "hosts"),
            number("other_load_cores", "other load", 1),
            Column("drift_p_holm", "drift p", "{:.3f}".format, right=True),
        ]
        placed = placement(rows, varying)
        lines = [f"{size(row, placed)}: {row['remarks']}." for row in rows if row["remarks"]]
        parts = ["first, last: ends of runs (UTC)", "gap: the longest between two ends", "hosts: distinct sets"]
        parts.append("with base: in the same stretch of time as the base case")
        if any(row["other_load_cores"] is not None for row in rows):
            parts.append("other load: cores of a node busy with anything but the ranks, of the worst run")
        else:
            parts.append("load while measuring: not recorded")
        parts.append("drift: Kendall's rank correlation with the order in time, five runs or more, p after Holm")
        if not lines:
            parts.append("nothing speaks against the repeats of any row being of one measurement")
        views.append(View(title(rows, "quality of the measurement"), rows, columns, same, "; ".join(parts), lines))
    return views


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")
