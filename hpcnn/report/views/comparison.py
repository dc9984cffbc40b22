"""View of the comparison of two sets of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, warm_up
from hpcnn.report.views.view import Row, View, count, name, number, percent, records, same_and_varying, setting, span
from hpcnn.util.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def comparison_view(
    table: pd.DataFrame, differing: Mapping[str, tuple[str, str]], rules: Rules, apart: str | None = None
) -> View:
    """Return the view of ``compare_runs``; ``apart``: what ``apart_in_time`` says."""
    rows = [{**row, "difference_span": span(row, "difference_low", "difference_high")} for row in records(table)]
    same, varying = _same_and_varying(rows)
    columns = [
        count("ranks", "ranks"),
        *(setting(key) for key in varying),
        count("runs_a", "runs A"),
        count("runs_b", "runs B"),
        number("epoch_seconds_a", "s/epoch A"),
        number("epoch_seconds_b", "s/epoch B"),
        Column("change", "change", "{:+.1%}".format, right=True),
        Column("difference_span", "B - A, s", right=True),
        Column("p_value", "p", "{:.3f}".format, right=True),
        Column("effect_size", "effect", "{:+.2f}".format, right=True),
        percent("test_accuracy_a", "accuracy A", 2),
        percent("test_accuracy_b", "accuracy B", 2),
    ]
    lines = [f"{_row_text(row, varying)}: {row['words']}." for row in rows] + ([apart] if apart else [])
    differ = "; ".join(f"{name(key)}: {one} | {other}" for key, (one, other) in differing.items())
    parts = [
        "change: of the medians over runs",
        "B - A: interval of the shift (Hodges and Lehmann)",
        "p: the larger of Mann and Whitney's and of Brunner and Munzel's test",
        "effect: Cliff's delta, -1 to 1",
        warm_up(rules.warmup),
    ]
    if (several := sum(row["p_holm"] is not None for row in rows)) > 1:
        parts.append(
            f"{several} comparisons: a difference counts if its p after Holm is at most {1 - rules.confidence:.2g}, so "
            "that all of them together raise no more false alarms than one"
        )
    same_and_differing = " ".join(text for text in (same, f"A and B differ in {differ}." if differ else "") if text)
    return View("B against A", rows, columns, same_and_differing, "; ".join(parts), lines)


def row_names(table: pd.DataFrame) -> list[str]:
    """Return the configuration of each row of ``compare_runs``, in words."""
    rows = records(table)
    _, varying = _same_and_varying(rows)
    return [_row_text(row, varying) for row in rows]


def _same_and_varying(rows: Sequence[Row]) -> tuple[str, list[str]]:
    keys = list(rows[0])
    same, varying = same_and_varying(rows, keys[: keys.index("runs_a")])
    return same, [key for key in varying if any(row[key] != row["ranks"] for row in rows)]


def _row_text(row: Row, varying: Sequence[str]) -> str:
    """Return the configuration of a row, in words."""
    from hpcnn.util.text import counted

    return ", ".join([counted(row["ranks"], "rank"), *(f"{name(key)} {row[key]}" for key in varying)])
