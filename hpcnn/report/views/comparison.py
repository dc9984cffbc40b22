"""View of the comparison of two sets of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, warm_up
from hpcnn.report.views.view import Row, View, count, name, number, percent, records, same_and_varying, setting, span
from hpcnn.util.table import Column, narrowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


# What a table shows without --wide.
_NARROW = ("ranks", "runs_a", "runs_b", "epoch_seconds_a", "epoch_seconds_b", "change", "difference_span", "p_value")


def comparison_view(table: pd.DataFrame, differing: Mapping[str, tuple[str, str]], rules: Rules) -> View:
    """Return the view of ``compare_runs``."""
    rows = [{**row, "difference_span": span(row, "difference_low", "difference_high")} for row in records(table)]
    keys = list(rows[0])
    same, varying = same_and_varying(rows, keys[: keys.index("runs_a")])
    varying = [key for key in varying if any(row[key] != row["ranks"] for row in rows)]
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
    columns = narrowed(columns, (*_NARROW, *varying))
    lines = [f"{_row_text(row, varying)}: {row['words']}." for row in rows]
    differ = "; ".join(f"{name(key)}: {one} | {other}" for key, (one, other) in differing.items())
    parts = [
        "change: of the medians over runs",
        "B - A: interval of the shift (Hodges and Lehmann)",
        "p: Mann and Whitney's rank test",
        "effect: Cliff's delta, -1 to 1",
        warm_up(rules.warmup),
    ]
    if (several := sum(row["words"][:5] != "only " for row in rows)) > 1:
        chance = (1 - rules.confidence) * several
        parts.append(f"{several} comparisons: {chance:.2g} false alarms are to be expected by chance alone")
    same_and_differing = " ".join(text for text in (same, f"A and B differ in {differ}." if differ else "") if text)
    return View("B against A", rows, columns, same_and_differing, "; ".join(parts), lines)


def _row_text(row: Row, varying: Sequence[str]) -> str:
    """Return the configuration of a row, in words."""
    from hpcnn.util.text import counted

    return ", ".join([counted(row["ranks"], "rank"), *(f"{name(key)} {row[key]}" for key in varying)])
