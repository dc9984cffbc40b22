"""Views of scaling tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, interval_rule, settings, title, warm_up
from hpcnn.report.views.view import Row, View, count, number, percent, records, same_and_varying, setting, span
from hpcnn.util.table import Column, narrowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


# What a table shows without --wide, where it has it.
_NARROW = (
    *("ranks", "runs", "epoch_seconds_median", "speedup", "speedup_interval"),
    *("efficiency", "efficiency_interval", "test_accuracy", "base"),
)


def scaling_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return one view for each table: its rows, the base case, and the rules."""
    views = []
    for _, part in table.groupby(rules.tables, dropna=False):
        rows = [_with_spans(row) for row in records(part)]
        kind = {"strong": "strong scaling", "weak": "weak scaling"}.get(rows[0]["kind"], "throughput")
        same, varying = same_and_varying(rows, settings(records(part)[0], rules.tables))
        columns = _columns(varying, kind)
        short = _caption(rows, rules, narrow=True)
        views.append(View(title(rows, kind), rows, columns, same, _caption(rows, rules), short_caption=short))
    return views


def _with_spans(row: Row) -> Row:
    percentiles = span(row, "epoch_seconds_p05", "epoch_seconds_p95")
    return {**row, "interval": span(row, "interval_low", "interval_high"), "percentiles": percentiles}


def _columns(varying: Sequence[str], kind: str) -> list[Column]:
    columns = [
        count("ranks", "ranks"),
        count("nodes", "nodes"),
        *(setting(key) for key in varying),
        count("runs", "runs"),
        count("epochs", "epochs"),
        number("epoch_seconds_median", "s/epoch"),
        Column("interval", "interval", right=True),
        percent("interval_coverage", "coverage"),
        Column("percentiles", "5..95 %", right=True),
        number("images_per_second", "images/s"),
        number("ceiling_images_per_second", "ceiling"),
        number("speedup", "speed-up", 2),
        percent("efficiency", "efficiency"),
        percent("share_compute", "compute"),
        percent("share_communication", "communication"),
        percent("share_input", "input"),
        number("node_hours_per_epoch", "node-h/epoch"),
        percent("test_accuracy", "test accuracy", 2),
        Column("base", "", lambda is_base: "base" if is_base else ""),
    ]
    # The interval of an epoch's seconds gives way to that of the efficiency, where there is one.
    more: tuple[str, ...] = () if any(column.key == "efficiency_interval" for column in columns) else ("interval",)
    more += ("images_per_second",) if kind == "throughput" else ()
    return narrowed(columns, (*_NARROW, *varying, *more))


def _caption(rows: Sequence[Row], rules: Rules, *, narrow: bool = False) -> str:
    """Return the rules of the table; narrow: of the columns alone that it has without --wide."""
    cases = list(dict.fromkeys(row["base_case"] for row in rows))
    parts = [f"{'base case' if len(cases) == 1 else 'base cases'}: {' | '.join(cases)}"]
    if rows[0]["kind"] not in ("strong", "weak"):
        parts.append("speed-up is the ratio of images/s")
    parts += [warm_up(rules.warmup), "slowest rank per epoch", *interval_rule(rows, rules.confidence)]
    if not narrow:
        parts.append("5..95 %: percentiles of all measured epochs")
    if not narrow and any(row["ceiling_images_per_second"] is not None for row in rows):
        parts.append("ceiling: images/s of runs without communication")
    if outliers := sum(row["outliers"] for row in rows):
        done = "left out" if rules.drop_outliers else "kept"
        parts.append(f"outliers {done}: {outliers} (epochs outside Tukey's fences of their run)")
    elif rules.drop_outliers:
        parts.append("outliers left out: none (no epoch outside Tukey's fences of its run)")
    return "; ".join(parts)
