"""Views of scaling tables."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from hpcnn.analysis.diagnose.machine import SUPERLINEAR
from hpcnn.report.views.rules import LEAST_COVERAGE, Rules, interval_rule, placement, size, tables_of, title, warm_up
from hpcnn.report.views.view import Row, View, count, number, percent, setting, span
from hpcnn.stats.medians import LEAST_FOR_FENCES
from hpcnn.stats.rank_tests import values_needed
from hpcnn.util.table import Column, narrowed
from hpcnn.util.text import counted

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
    for measured, same, varying in tables_of(table, rules):
        rows = [_with_spans(row) for row in measured]
        kind = {"strong": "strong scaling", "weak": "weak scaling"}.get(rows[0]["kind"], "throughput")
        placed = placement(rows, varying)
        columns, short = _columns(varying, kind, placed), _caption(rows, rules, narrow=True)
        views.append(
            View(title(rows, kind), rows, columns, same, _caption(rows, rules), _remarks(rows, rules, placed), short)
        )
        intervals = _intervals(rows, varying, rules)
        if any(value for row in intervals.rows for key, value in row.items() if key.endswith("_span")):
            views.append(intervals)
    return views


def _remarks(rows: Sequence[Row], rules: Rules, placed: Sequence[str]) -> list[str]:
    """Return what cannot be, row by row: an efficiency of more than 100 % that noise alone does not explain."""
    lines = []
    for row in rows:
        if row["efficiency"] is None or row["efficiency"] <= SUPERLINEAR:
            continue
        enough = row["ratio_coverage"] is not None and row["ratio_coverage"] >= rules.confidence
        if enough and row["efficiency_low"] <= 1:
            why = "its interval allows for 100 %: it may be noise"
        elif enough:
            why = "and noise does not explain it: the base case was slow, or its data fit no cache. Measure it again"
        else:
            why = (
                f"which ranks cannot give. {counted(row['runs'], 'run')} cannot tell noise from a slow base case (a "
                "busy machine): measure both again"
            )
        lines.append(f"{size(row, placed)}: an efficiency of {row['efficiency']:.0%}, {why}.")
    return lines


def _intervals(rows: Sequence[Row], varying: Sequence[str], rules: Rules) -> View:
    """Return the view of the ratios of ``rows`` with their intervals."""
    shown = []
    for row in rows:
        known = row["ratio_coverage"] is not None and row["ratio_coverage"] >= LEAST_COVERAGE
        of_time = row["interval_coverage"] is not None and row["interval_coverage"] >= LEAST_COVERAGE
        keys = {"speedup": known, "efficiency": known, "images_per_second": of_time, "node_hours_per_epoch": of_time}
        spans = {f"{key}_span": span(row, f"{key}_low", f"{key}_high") if has else None for key, has in keys.items()}
        if spans["efficiency_span"]:
            spans["efficiency_span"] = f"{row['efficiency_low']:.1%}..{row['efficiency_high']:.1%}"
        if any(spans.values()):
            shown.append({**row, **spans, "interval_coverage": row["interval_coverage"] if of_time else None})
    columns = [
        count("ranks", "ranks"),
        *(count(key, key)._replace(leads=True) for key in placement(rows, varying)),
        *(setting(key) for key in varying),
        Column("speedup_span", "speed-up", right=True),
        Column("efficiency_span", "efficiency", right=True),
        percent("ratio_coverage", "coverage"),
        Column("images_per_second_span", "images/s", right=True),
        Column("node_hours_per_epoch_span", "node-h/epoch", right=True),
        percent("interval_coverage", "coverage"),
    ]
    parts = []
    if any(row["speedup_span"] or row["efficiency_span"] for row in shown):
        parts.append("speed-up, efficiency: of the shift between the runs of both sizes, by a rank test")
    if any(row["images_per_second_span"] or row["node_hours_per_epoch_span"] for row in shown):
        parts.append("images/s, node-h: exact, of the median over runs")
    if any(value is None for row in shown for key, value in row.items() if key.endswith("_span")):
        parts.append(
            f"intervals that hold the true value in less than {LEAST_COVERAGE:.0%} of all cases are left out: for "
            f"{100 * rules.confidence:.4g} %, a ratio needs {values_needed(rules.confidence)} runs of each size, a "
            f"median {rows[0]['runs_needed']}"
        )
    return View("Intervals", shown, columns, "", "; ".join(parts))


def _with_spans(row: Row) -> Row:
    percentiles = span(row, "epoch_seconds_p05", "epoch_seconds_p95")
    return {**row, "interval": span(row, "interval_low", "interval_high"), "percentiles": percentiles}


def _columns(varying: Sequence[str], kind: str, placed: Sequence[str]) -> list[Column]:
    columns = [
        count("ranks", "ranks"),
        count("nodes", "nodes")._replace(leads="nodes" in placed),
        *(setting(key) for key in varying),
        count("runs", "runs"),
        count("epochs", "epochs"),
        number("epoch_seconds_median", "s/epoch"),
        Column("interval", "interval", right=True),
        percent("interval_coverage", "coverage"),
        Column("percentiles", "5..95 %", right=True),
        number("images_per_second", "images/s"),
        *([number("images_per_second_per_rank", "images/s each")] if kind == "weak" else []),
        number("ceiling_images_per_second", "ceiling"),
        number("speedup", "speed-up", 2),
        percent("efficiency", "efficiency"),
        percent("share_compute", "compute"),
        percent("share_communication", "communication"),
        percent("share_input", "input"),
        number("node_hours_per_epoch", "node-h/epoch"),
        percent("test_accuracy", "test accuracy", 2),
        Column("base", "", lambda is_base: "base" if is_base else "", spare=True),
    ]
    # The interval of an epoch's seconds gives way to that of the efficiency, where there is one.
    more: tuple[str, ...] = () if any(column.key == "efficiency_interval" for column in columns) else ("interval",)
    more += ("images_per_second",) if kind == "throughput" else ()
    return narrowed(columns, (*_NARROW, *placed, *varying, *more))


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
    if any(row["ratio_coverage"] is None and not row["base"] and row["runs"] > 1 for row in rows) and not _has_scipy():
        parts.append("no intervals of ratios without scipy: pip install 'hpcnn[report]'")
    if outliers := sum(row["outliers"] for row in rows):
        done = "left out" if rules.drop_outliers else "kept"
        parts.append(f"outliers {done}: {outliers} (epochs outside Tukey's fences of their run)")
    elif not any(row["outliers_testable"] for row in rows):
        parts.append(f"outliers: not testable, a run needs {LEAST_FOR_FENCES} measured epochs")
    elif rules.drop_outliers:
        parts.append("outliers left out: none (no epoch outside Tukey's fences of its run)")
    return "; ".join(parts)


def _has_scipy() -> bool:
    return importlib.util.find_spec("scipy") is not None
