"""View of the comparison of two results of one benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.view import View, count, number, records, span
from hpcnn.util.table import Column

if TYPE_CHECKING:
    import pandas as pd


def benchmarks_view(table: pd.DataFrame) -> View:
    """Return the view of ``compare_benchmarks``."""
    rows = [{**row, "difference_span": span(row, "low", "high")} for row in records(table)]
    columns = [
        Column("case", "case"),
        Column("way", "way"),
        Column("unit", "unit"),
        count("runs_a", "repeats A"),
        count("runs_b", "repeats B"),
        number("median_a", "A"),
        number("median_b", "B"),
        Column("change", "change", "{:+.1%}".format, right=True),
        Column("difference_span", "B - A", right=True),
        Column("p_value", "p", "{:.3f}".format, right=True),
    ]
    lines = [f"{row['case']}, {row['way']}: {row['words']}." for row in rows]
    return View("B against A", rows, columns, "", "A, B, change: of the medians over repeats", lines)
