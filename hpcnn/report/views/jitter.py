"""Views of how much the steps of each configuration differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, placement, tables_of, title, warm_up
from hpcnn.report.views.view import View, count, number, percent, setting
from hpcnn.util.table import Column
from hpcnn.util.text import significant

if TYPE_CHECKING:
    import pandas as pd


def jitter_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``jitter_table``; a note where no run records the work of its steps."""
    if table.empty:
        return [View("jitter", [], [], caption="no run records how long the work of each step takes")]
    views = []
    for rows, same, varying in tables_of(table, rules):
        columns = [
            count("ranks", "ranks"),
            *(count(key, key) for key in placement(rows, varying)),
            *(setting(key) for key in varying),
            _milliseconds("step_seconds_mean", "mean ms"),
            _milliseconds("step_seconds_deviation", "deviation ms"),
            percent("jitter", "jitter"),
            number("step_skewness", "skewness", 1),
            _milliseconds("step_seconds_maximum", "slowest ms"),
            percent("slowest", "longer"),
            percent("slowest_if_independent", "if independent"),
        ]
        parts = [
            "work of a step: what a rank does between two sums of gradients, without waiting",
            "jitter = deviation over mean, over steps and ranks; slowest: mean over steps of the slowest rank's work",
            "longer: than the mean, for which the others wait; if independent: what the jitter alone gives",
            "medians over epochs and runs",
            warm_up(rules.warmup),
        ]
        views.append(View(title(rows, "jitter"), rows, columns, same, "; ".join(parts)))
    return views


def _milliseconds(key: str, heading: str) -> Column:
    return Column(key, heading, lambda seconds: significant(seconds * 1e3), right=True)
