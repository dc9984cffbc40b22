"""View of the table of runs that do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.view import View, records
from hpcnn.util.table import Column
from hpcnn.util.text import shown_path

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.report.views.rules import Rules


def left_out_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the view of ``left_out``: every run that does not count, and why."""
    rows = [{**row, "path": shown_path(row["path"])} for row in records(table)]
    columns = [Column("path", "run"), Column("status", "status"), Column("reason", "reason")]
    return [View(f"Left out: {len(rows)}", rows, columns)]
