"""The other tables as people read them: accuracy, devices, cost, what was left out, and two sets of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcnn.report.views.scaling import Rules, interval_rule, settings, title, warm_up
from hpcnn.report.views.view import Row, View, count, name, number, percent, records, same_and_varying, setting, span
from hpcnn.util.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def accuracy_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``time_to_accuracy``."""
    views = []
    for _, part in table.groupby(rules.tables, dropna=False):
        rows = [_with_ends(row) for row in records(part)]
        same, varying = same_and_varying(rows, settings(records(part)[0], rules.tables))
        columns = [
            count("ranks", "ranks"),
            count("nodes", "nodes"),
            *(setting(key) for key in varying),
            percent("target", "target", 2),
            count("runs", "runs"),
            count("reached", "reached"),
            count("not_reached", "not reached"),
            Column("unknown", "unknown", lambda number: str(number) if number else "", right=True),
            Column("seconds", "s to target", right=True),
            Column("interval", "interval", right=True),
            percent("interval_coverage", "coverage"),
            Column("epochs", "epochs", right=True),
            Column("quality", "test accuracy", right=True),
        ]
        origin = rows[0]["target_from"]
        parts = [
            f"target {origin}" if origin else "no target: no accuracy is recorded",
            "clock from the start of training, never paused, evaluations included",
            "medians over runs, one that did not reach the target counting as longer than any",
            *interval_rule(rows, rules.confidence),
            "test accuracy: after the last epoch, median over runs (smallest..largest)",
        ]
        if any(row["clock"] in ("sum of epochs", "both") for row in rows):
            parts.append("some clocks are sums of epochs, without what happened between them")
        views.append(View(title(rows, "time to accuracy"), rows, columns, same, "; ".join(parts)))
    return views


def _with_ends(row: Row) -> Row:
    from hpcnn.util.text import significant

    never = "not reached" if row["not_reached"] else None
    seconds, epochs = row["seconds_to_target"], row["epochs_to_target"]

    return {
        **row,
        "seconds": never if seconds is None else significant(seconds),
        "epochs": never if epochs is None else f"{epochs:g}",
        "interval": span(row, "interval_low", "interval_high") if row["interval_coverage"] is not None else None,
        "quality": _quality(row),
    }


def _quality(row: Row) -> str | None:
    if row["test_accuracy_median"] is None:
        return None
    return "{:.2%} ({:.2%}..{:.2%})".format(*(row[f"test_accuracy_{key}"] for key in ("median", "min", "max")))


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
    return [View("CPU and GPU", rows, columns, caption="; ".join(parts))]


def lectures_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the view of ``lectures_table``."""
    rows = [
        {**row, "quality": _quality(row), "otherwise": row["otherwise"] or None, "epoch": row["epoch_seconds"]}
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
    return [View("Beside the lectures", rows, columns, caption=caption)]


def cost_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the views of ``cost_table``."""
    views = []
    for _, part in table.groupby(rules.tables, dropna=False):
        rows = records(part)
        same, varying = same_and_varying(rows, settings(rows[0], rules.tables))
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
            number("energy_kwh", "kWh/run"),
            number("carbon_g", "g CO2e/run"),
            Column("sweet_spot", "", lambda best: "sweet spot" if best else ""),
        ]
        parts = ["hours: nodes, cores or GPUs of the row times its median time", warm_up(rules.warmup)]
        if any(row["sweet_spot"] for row in rows):
            parts.append("sweet spot: largest efficiency / epoch time (Eager, Zahorjan and Lazowska 1989)")
        if all(row["charge_per_epoch"] is None for row in rows):
            parts.append("the site's profile has no charges")
        if all(row["energy_kwh"] is None for row in rows):
            parts.append("no energy: Slurm's accounting was not asked (--energy), or has none")
        views.append(View(title(rows, "cost"), rows, columns, same, "; ".join(parts)))
    return views


def _hours(what: str, short: str, gpus: bool) -> list[Column]:
    of = ("node", "core", "gpu") if gpus else ("node", "core")
    return [number(f"{kind}_hours_{what}", f"{kind.replace('gpu', 'GPU')}-h/{short}") for kind in of]


def left_out_views(table: pd.DataFrame, rules: Rules) -> list[View]:
    """Return the view of ``left_out``: every run that does not count, and why."""
    rows = [{**row, "path": place(row["path"])} for row in records(table)]
    columns = [Column("path", "run"), Column("status", "status"), Column("reason", "reason")]
    return [View(f"Left out: {len(rows)}", rows, columns)]


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
    lines = [f"{_which(row, varying)}: {row['words']}." for row in rows]
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
    told = " ".join(text for text in (same, f"A and B differ in {differ}." if differ else "") if text)
    return View("B against A", rows, columns, told, "; ".join(parts), lines)


def benchmarks_view(table: pd.DataFrame) -> View:
    """Return the view of ``compare_benchmarks``."""
    rows = [{**row, "difference_span": span(row, "low", "high")} for row in records(table)]
    columns = [
        Column("case", "case"),
        Column("way", "way"),
        Column("unit", "unit"),
        count("runs_a", "repeats A"),
        count("runs_b", "repeats B"),
        number("median_a", "A"),
        number("median_b", "B"),
        Column("change", "change", "{:+.1%}".format, right=True),
        Column("difference_span", "B - A", right=True),
        Column("p_value", "p", "{:.3f}".format, right=True),
    ]
    lines = [f"{row['case']}, {row['way']}: {row['words']}." for row in rows]
    return View("B against A", rows, columns, "", "A, B, change: of the medians over repeats", lines)


def _which(row: Row, varying: Sequence[str]) -> str:
    """Return which configuration a row is of, in words."""
    from hpcnn.util.text import counted

    return ", ".join([counted(row["ranks"], "rank"), *(f"{name(key)} {row[key]}" for key in varying)])


def place(path: Any) -> str:
    """Return a path as people in this directory would write it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
