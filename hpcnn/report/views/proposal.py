"""Views of the tables of proposals: the hours of a number of trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, placement, tables_of, title
from hpcnn.report.views.usage import energy_of, energy_rule
from hpcnn.report.views.view import Row, View, count, number, percent, setting, span
from hpcnn.util.table import Column, narrowed
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    import pandas as pd

_KINDS = {"node": "node", "core": "core", "gpu": "GPU"}
# What a table shows without --wide.
_NARROW = (
    "ranks",
    "runs",
    "efficiency",
    "job_seconds",
    "node_hours",
    "node_hours_span",
    "gpu_hours",
    "energy",
    "chosen",
)


def proposal_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``proposal_table``."""
    views = []
    for measured, same, varying in tables_of(table, rules):
        rows = [_with_spans(row) for row in measured]
        kinds = [kind for kind in _KINDS if kind != "gpu" or any(row["gpu_hours"] for row in rows)]
        columns = [
            count("ranks", "ranks"),
            count("nodes", "nodes"),
            *(setting(key) for key in varying),
            count("runs", "runs"),
            percent("efficiency", "efficiency"),
            number("job_seconds", "s/job"),
            number("start_seconds", "start"),
            number("epoch_seconds", "epochs"),
            number("evaluation_seconds", "evaluation"),
            number("other_seconds", "other"),
            percent("lost_share", "failures"),
        ]
        for kind in kinds:
            columns.append(number(f"{kind}_hours", f"{_KINDS[kind]}-h"))
            columns.append(Column(f"{kind}_hours_span", f"{rules.confidence:.0%}", right=True))
        columns.append(Column("energy", "kWh", right=True))
        columns.append(Column("chosen", "", lambda chosen: "chosen" if chosen else ""))
        trainings = rows[0]["trainings"]
        parts = [
            f"hours held by {counted(trainings, 'training')}: whole jobs, from the start of the processes",
            "s/job: mean over runs, of start, epochs, evaluation and other (data, staging, checkpoints)",
            f"failures: {rows[0]['lost_share']:.1%} more, for runs that did not complete where this was measured",
            "interval: of the sum to come, by Student's t",
            *energy_rule(rows),
            "waiting in the queue and the launcher's start are not recorded",
            "chosen: fewest node-hours, of the ranks with the largest efficiency / epoch time in a strong series",
        ]
        lines = [_sentence(row, kinds, trainings) for row in rows if row["chosen"]]
        heading = title(rows, f"hours of {counted(trainings, 'training')}")
        columns = narrowed(columns, (*_NARROW, *placement(rows, varying), *varying))
        views.append(View(heading, rows, columns, same, "; ".join(parts), lines))
    return views


def _with_spans(row: Row) -> Row:
    spans = {f"{kind}_hours_span": span(row, f"{kind}_hours_low", f"{kind}_hours_high") for kind in _KINDS}
    return {**row, **spans, "energy": energy_of(row)}


def _sentence(row: Row, kinds: list[str], trainings: int) -> str:
    """Return what to ask for, in words."""
    hours = [f"{significant(row[f'{kind}_hours'])} {_KINDS[kind]}-hours" for kind in kinds if row[f"{kind}_hours"]]
    hours = hours or ["hours unknown, as no run records its time"]
    most = row["node_hours_high"]
    if most is None:
        sure = "one run gives no interval: measure more" if row["runs"] == 1 else "no interval"
    else:
        sure = f"at most {significant(most)} node-hours"
    energy = (
        "" if row["energy_kwh"] is None else f" Energy: {significant(row['energy_kwh'])} kWh ({row['energy_source']})."
    )
    ranks = counted(row["ranks"], "rank") + (f" ({counted(row['nodes'], 'node')})" if row["nodes"] else "")
    return f"Ask for: {counted(trainings, 'training')} on {ranks}: {', '.join(hours)}; {sure}.{energy}"
