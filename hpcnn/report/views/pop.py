"""Views of the tables of the POP Centre's efficiencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, placement, tables_of, title, warm_up
from hpcnn.report.views.view import View, count, percent, setting

if TYPE_CHECKING:
    import pandas as pd


def pop_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``pop_table``; a note where no run says where its time goes."""
    if table.empty:
        return [View("POP efficiencies", [], [], caption="no run records where the seconds of an epoch go")]
    views = []
    for rows, same, varying in tables_of(table, rules):
        columns = [
            count("ranks", "ranks"),
            *(count(key, key) for key in placement(rows, varying)),
            *(setting(key) for key in varying),
            percent("global_efficiency", "global"),
            percent("parallel_efficiency", "parallel"),
            percent("load_balance", "balance"),
            percent("communication_efficiency", "communication"),
            percent("serialization", "serialization"),
            percent("transfer", "transfer"),
            percent("computational_scalability", "scalability"),
        ]
        parts = [
            "global = parallel x computational scalability, over the base case",
            "parallel = load balance x communication efficiency, medians over epochs and runs",
            "useful time: outside communication, and outside waiting for slower ranks",
            "communication = serialization (waiting for the slowest rank of each step) x transfer",
            warm_up(rules.warmup),
        ]
        views.append(View(title(rows, "POP efficiencies"), rows, columns, same, "; ".join(parts)))
    return views
