"""View of the rules for reports that a table meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.view import View, count, records
from hpcnn.util.table import Column

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.report.views.rules import Rules


def reporting_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the view of ``rules_table``."""
    columns = [count("rule", "rule"), Column("source", "of"), Column("asks", "asks for")]
    columns += [Column("met", "met"), Column("why", "why")]
    met = int((table["met"] == "yes").sum())
    lines = [f"{met} of the {len(table)} rules are met."]
    caption = "H: Hoefler and Belli, SC15, with the number there; M: MLPerf; the rest is of hpcnn"
    return [View("Rules of reporting", records(table), columns, "", caption, lines)]
