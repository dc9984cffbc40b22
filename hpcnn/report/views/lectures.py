"""View of the table that compares test accuracies with those of the lectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.accuracy import accuracy_range
from hpcnn.report.views.rules import Rules, warm_up
from hpcnn.report.views.view import View, count, number, percent, records
from hpcnn.util.table import Column, narrowed

if TYPE_CHECKING:
    import pandas as pd


# What a table shows without --wide.
_NARROW = ("model", "otherwise", "runs", "quality", "lecture_accuracy", "lecture_lies")


def lectures_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the view of ``lectures_table``."""
    rows = [
        {**row, "quality": accuracy_range(row), "otherwise": row["otherwise"] or None, "epoch": row["epoch_seconds"]}
        for row in records(table)
    ]
    columns = [
        Column("model", "model"),
        Column("otherwise", "done otherwise"),
        count("runs", "runs"),
        Column("quality", "test accuracy", right=True),
        percent("lecture_accuracy", "lecture", 2),
        Column("lecture_lies", "lecture's is"),
        number("epoch", "s/epoch"),
        number("lecture_epoch_seconds", "lecture, s/epoch"),
    ]
    parts = [
        "test accuracy: after the last epoch, median over runs (smallest..largest)",
        "lecture's is within, above or below that range: it is of one run",
        "the lectures' seconds are of their machines",
        warm_up(rules.warmup),
    ]
    caption = "; ".join(parts) if rows else "no run trained a network of the lectures (hpcnn models)"
    return [View("Beside the lectures", rows, narrowed(columns, _NARROW), caption=caption)]
