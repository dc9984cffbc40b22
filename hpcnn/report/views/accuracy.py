"""Views of the tables of time to accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, interval_rule, placement, tables_of, title
from hpcnn.report.views.view import Row, View, count, percent, setting, span
from hpcnn.util.table import Column, narrowed

if TYPE_CHECKING:
    import pandas as pd


# What a table shows without --wide.
_NARROW = ("ranks", "target", "runs", "reached", "seconds", "interval", "epochs", "quality")


def accuracy_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``time_to_accuracy``."""
    views = []
    for measured, same, varying in tables_of(table, rules):
        rows = [_with_texts(row) for row in measured]
        cut_off = any(row["cut_off"] for row in rows)
        columns = [
            count("ranks", "ranks"),
            count("nodes", "nodes"),
            *(setting(key) for key in varying),
            percent("target", "target", 2),
            count("runs", "runs"),
            count("reached", "reached"),
            count("not_reached", "not reached"),
            *([count("cut_off", "cut off")] if cut_off else []),
            Column("unknown", "unknown", lambda number: str(number) if number else "", right=True),
            Column("seconds", "s to target", right=True),
            Column("interval", "interval", right=True),
            percent("interval_coverage", "coverage"),
            Column("epochs", "epochs", right=True),
            Column("quality", "test accuracy", right=True),
        ]
        columns = narrowed(columns, (*_NARROW, *placement(rows, varying), *varying))
        origin = rows[0]["target_from"]
        parts = [
            f"target {origin}" if origin else "no target: no accuracy is recorded",
            "clock from the start of training, never paused, evaluations included",
            "medians over runs, one that did not reach the target counting as longer than any",
            *interval_rule(rows, rules.confidence),
            "test accuracy: after the last epoch, median over runs (smallest..largest)",
        ]
        if cut_off:
            parts.append(
                "a run that was cut off counts until then (Kaplan and Meier), its interval allows for any time"
            )
        if any(row["clock"] in ("sum of epochs", "both") for row in rows):
            parts.append("some clocks are sums of epochs, without what happened between them")
        views.append(View(title(rows, "time to accuracy"), rows, columns, same, "; ".join(parts)))
    return views


def _with_texts(row: Row) -> Row:
    """Return a row with its times, interval and accuracy as texts, since a target may not be reached."""
    from hpcnn.util.text import significant

    never = "not reached" if row["not_reached"] else None
    seconds, epochs = row["seconds_to_target"], row["epochs_to_target"]
    return {
        **row,
        "seconds": never if seconds is None else significant(seconds),
        "epochs": never if epochs is None else f"{epochs:g}",
        "interval": span(row, "interval_low", "interval_high") if row["interval_coverage"] is not None else None,
        "quality": accuracy_range(row),
    }


def accuracy_range(row: Row) -> str | None:
    """Return the test accuracy of a row as "median (smallest..largest)"; None where no run recorded one."""
    if row["test_accuracy_median"] is None:
        return None
    return "{:.2%} ({:.2%}..{:.2%})".format(*(row[f"test_accuracy_{key}"] for key in ("median", "min", "max")))
