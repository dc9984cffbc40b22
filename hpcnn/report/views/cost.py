"""Views of the tables of cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.report.views.rules import Rules, placement, tables_of, title, warm_up
from hpcnn.report.views.usage import energy_of, energy_rule
from hpcnn.report.views.view import View, count, number, percent, setting
from hpcnn.util.table import Column, narrowed

if TYPE_CHECKING:
    import pandas as pd


# What a table shows without --wide.
_NARROW = (
    *("ranks", "epoch_seconds_median", "efficiency", "core_hours_per_epoch", "gpu_hours_per_epoch", "charge_per_epoch"),
    *("target", "core_hours_to_target", "gpu_hours_to_target", "charge_to_target", "energy", "sweet_spot"),
)


def cost_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``cost_table``."""
    views = []
    for measured, same, varying in tables_of(table, rules):
        rows = [{**row, "energy": energy_of(row)} for row in measured]
        gpus = any(row["gpu_hours_per_epoch"] for row in rows)
        unit = rows[0]["charge_unit"] or "units"
        columns = [
            count("ranks", "ranks"),
            count("nodes", "nodes"),
            *(setting(key) for key in varying),
            count("runs", "runs"),
            number("epoch_seconds_median", "s/epoch"),
            percent("efficiency", "efficiency"),
            *_hours("per_epoch", "epoch", gpus),
            number("charge_per_epoch", f"{unit}/epoch"),
            percent("target", "target", 2),
            *_hours("to_target", "target", gpus),
            number("charge_to_target", f"{unit}/target"),
            Column("energy", "kWh/run", right=True),
            number("carbon_g", "g CO2e/run"),
            Column("sweet_spot", "", lambda best: "sweet spot" if best else ""),
        ]
        columns = narrowed(columns, (*_NARROW, *placement(rows, varying), *varying))
        parts = ["hours: nodes, cores or GPUs of the row times its median time", warm_up(rules.warmup)]
        if any(row["sweet_spot"] for row in rows):
            parts.append("sweet spot: largest efficiency / epoch time (Eager, Zahorjan and Lazowska 1989)")
        if all(row["charge_per_epoch"] is None for row in rows):
            parts.append("the site's profile has no charges")
        parts += energy_rule(rows)
        views.append(View(title(rows, "cost"), rows, columns, same, "; ".join(parts)))
    return views


def _hours(what: str, short: str, gpus: bool) -> list[Column]:
    """Return the columns of node-, core- and, if any row has some, GPU-hours."""
    kinds = ("node", "core", "gpu") if gpus else ("node", "core")
    return [number(f"{kind}_hours_{what}", f"{kind.replace('gpu', 'GPU')}-h/{short}") for kind in kinds]
