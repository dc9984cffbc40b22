"""Scaling tables as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcnn.report.views.view import Row, View, count, number, percent, records, same_and_varying, setting, span
from hpcnn.util.table import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


@dataclass(frozen=True)
class Rules:
    """By which rules a table was made, for its caption. ``by``: what separates tables, None for the default."""

    warmup: int = 1
    confidence: float = 0.95
    drop_outliers: bool = False
    by: tuple[str, ...] | None = None

    @property
    def tables(self) -> list[str]:
        """The columns that separate tables."""
        from hpcnn.analysis.configuration import TABLE

        return TABLE if self.by is None else list(dict.fromkeys([*self.by, "kind"]))


def settings(row: Row, tables: Sequence[str]) -> list[str]:
    """Return the keys that say what was run, beside its size: those before the first that says what came of it."""
    from hpcnn.analysis.base import SIZE

    keys = list(row)
    first = min(keys.index(key) for key in ("runs", "target") if key in keys)
    return [key for key in keys[:first] if key not in (*tables, *SIZE)]


def title(rows: Sequence[Row], what: str) -> str:
    """Return whose numbers these are: study, what was trained, processor; what differs between rows is left out."""
    one = {key: row[key] for row in rows[:1] for key in row if all(other[key] == row[key] for other in rows)}
    study = "Several studies" if "study" not in one else one["study"] or "Runs of no study"
    model = one.get("model") or one.get("program")
    of = f" of {model}" if model else ""
    data = f" on {one['data']}" if one.get("data") else ""
    machine = [one["cpu_model"] or "unknown processor"] if "cpu_model" in one else []
    if one.get("device") not in (None, "CPU"):
        machine.append(one["device"])
    return f"{study}: {what}{of}{data}" + (f"; {', '.join(machine)}" if machine else "")


def scaling_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return one view for each table: its rows, the base case, and the rules."""
    views = []
    for _, part in table.groupby(rules.tables, dropna=False):
        rows = [_with_spans(row) for row in records(part)]
        kind = {"strong": "strong scaling", "weak": "weak scaling"}.get(rows[0]["kind"], "throughput")
        same, varying = same_and_varying(rows, settings(records(part)[0], rules.tables))
        views.append(View(title(rows, kind), rows, _columns(varying), same, _caption(rows, rules)))
    return views


def _with_spans(row: Row) -> Row:
    percentiles = span(row, "epoch_seconds_p05", "epoch_seconds_p95")
    return {**row, "interval": span(row, "interval_low", "interval_high"), "percentiles": percentiles}


def _columns(varying: Sequence[str]) -> list[Column]:
    return [
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


def _caption(rows: Sequence[Row], rules: Rules) -> str:
    cases = list(dict.fromkeys(row["base_case"] for row in rows))
    parts = [f"{'base case' if len(cases) == 1 else 'base cases'}: {' | '.join(cases)}"]
    if rows[0]["kind"] not in ("strong", "weak"):
        parts.append("speed-up is the ratio of images/s")
    parts += [warm_up(rules.warmup), "slowest rank per epoch", *interval_rule(rows, rules.confidence)]
    parts.append("5..95 %: percentiles of all measured epochs")
    if any(row["ceiling_images_per_second"] is not None for row in rows):
        parts.append("ceiling: images/s of runs without communication")
    if outliers := sum(row["outliers"] for row in rows):
        done = "left out" if rules.drop_outliers else "kept"
        parts.append(f"outliers {done}: {outliers} (epochs outside Tukey's fences of their run)")
    elif rules.drop_outliers:
        parts.append("outliers left out: none (no epoch outside Tukey's fences of its run)")
    return "; ".join(parts)


def warm_up(epochs: int) -> str:
    """Return which epochs are left out at the beginning, in words."""
    named = {0: "no warm-up epoch left out", 1: "warm-up epoch left out"}
    return named.get(epochs, f"{epochs} warm-up epochs left out")


def interval_rule(rows: Sequence[Row], confidence: float) -> list[str]:
    """Return what the interval of the rows is, and which rows have too few runs for it."""
    told = []
    if any(row["interval"] for row in rows):
        told.append("interval: exact, of the median over runs, with its true coverage")
    needed = rows[0]["runs_needed"]
    if any(row["runs"] < needed for row in rows):
        told.append(f"too few runs: a {confidence * 100:.4g} % interval needs {needed}")
    return told
