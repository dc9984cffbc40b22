"""View of the table of CPU and GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, warm_up
from hpcnn.report.views.view import View, count, number, records
from hpcnn.util.table import Column, narrowed

if TYPE_CHECKING:
    import pandas as pd


# What a table shows without --wide.
_NARROW = ("source", "samples", "model", "device", "ranks", "epoch_seconds", "total_seconds", "speedup_epoch")


def devices_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the view of ``cpu_vs_gpu``: one table, the lectures' rows last and marked as such."""
    from hpcnn.analysis.devices import LECTURE, MEASURED

    rows = records(table)
    measured = [str(row["device"]) for row in rows if row["source"] == MEASURED]
    columns = [
        Column("source", "source", lambda source: source if source == MEASURED else "lectures (reference)"),
        count("samples", "images"),
        Column("model", "model"),
        count("batch_size", "batch"),
        count("epochs", "epochs"),
        Column("device", "device"),
        Column("strategy", "strategy"),
        count("ranks", "ranks"),
        count("runs", "runs"),
        number("first_epoch_seconds", "first epoch s"),
        number("epoch_seconds", "s/epoch"),
        number("total_seconds", "total s"),
        number("speedup_epoch", "speed-up of an epoch", 2),
        number("speedup_total", "of the total", 2),
    ]
    parts = [
        "medians over runs",
        warm_up(rules.warmup),
        "speed-up over the CPU row of the same work with the fewest ranks",
        f"reference rows: {LECTURE}, another machine and program; network, batch size and epochs are not stated there",
    ]
    for kind, missing in (
        ("GPU", all(device.startswith("CPU") for device in measured)),
        ("CPU", not any(device.startswith("CPU") for device in measured)),
    ):
        if missing:
            parts.append(f"no {kind} was measured: the {kind} rows are the lectures' alone")
    return [View("CPU and GPU", rows, narrowed(columns, _NARROW), caption="; ".join(parts))]
