"""``hpcnn scaling-report``: run directories as scaling tables, and the runs that are not in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpcnn.cli.output import Column, emit, format_option
from hpcnn.errors import HpcnnError, bad_value

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.report import RunData

Row = dict[str, Any]

# With fewer runs the exact binomial interval of the median does not reach 95 %: 1 - 2/2**5 = 93.75 % for five
# (Hoefler and Belli, SC15, rule 6).
RUNS_FOR_INTERVAL = 6


@click.command(epilog="Example:  hpcnn scaling-report runs/mnist-strong --base strategy=serial,ranks=1 --format csv")
@click.argument("dirs", metavar="DIR...", nargs=-1, required=True, type=click.Path())
@format_option
@click.option(
    "--base",
    metavar="KEY=VALUE,...",
    help="The base case of speed-ups, e.g. ntasks=1. Without it: the fewest ranks.",
)
def command(dirs: tuple[str, ...], fmt: str, base: str | None) -> None:
    """Turn run directories into scaling tables.

    Takes every run at or below each DIR. An epoch lasts as long as on its slowest rank; a run is summarised
    by the median of its epochs, the first left out as warm-up; a row is the median over runs; ratios come
    last. Runs that did not complete are listed with their reason (on standard error with --format json or
    csv), and never counted.
    """
    wanted = _pairs(base)

    from hpcnn.report import left_out, load, scaling_table

    data = load(*dirs)
    table = scaling_table(data, wanted)
    out = left_out(data)
    remarks = [*_left_out_lines(out), *_problem_lines(data, out)]
    if table.empty:
        raise HpcnnError("\n".join(["no run can be counted.", *remarks]))
    if fmt == "table":
        _print_tables(table)
    else:
        emit(_records(table), fmt, [])
    for line in remarks:
        click.echo(line, err=fmt != "table")


def _pairs(text: str | None) -> dict[str, str] | None:
    """Return the keys and values of ``--base``."""
    if text is None:
        return None
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(key.strip() and equals and value.strip() for key, equals, value in pairs):
        raise bad_value("--base", text, "KEY=VALUE,..., as in strategy=serial,ranks=1")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _records(table: pd.DataFrame) -> list[Row]:
    """Return the rows with Python's own values, None where one is missing."""
    values = table.astype(object)
    rows: list[Any] = values.where(values.notna(), None).to_dict("records")
    return rows


def _print_tables(table: pd.DataFrame) -> None:
    """Print each table: its title, what is the same in all rows, the rows, and the base case."""
    from hpcnn.report.scaling import TABLE

    for _, part in table.groupby(TABLE, dropna=False):
        rows = [{**row, "range": _range(row)} for row in _records(part)]
        settings = _settings(rows[0])
        varying = [key for key in settings if any(row[key] != rows[0][key] for row in rows)]
        same = [f"{key} {rows[0][key]}" for key in settings if key not in varying and rows[0][key] is not None]
        columns = [c for c in _columns(varying) if any(row[c.key] is not None for row in rows)]
        click.echo(_title(rows[0]))
        if same:
            click.echo(f"In all rows: {', '.join(same)}.")
        emit(rows, "table", columns)
        click.echo(_caption(rows) + "\n")


def _settings(row: Row) -> list[str]:
    """Return the keys that say what was run: those before the first that says what was measured."""
    from hpcnn.report.base import SIZE
    from hpcnn.report.scaling import TABLE

    keys = list(row)
    return [key for key in keys[: keys.index("runs")] if key not in (*TABLE, *SIZE)]


def _title(row: Row) -> str:
    kind = {"strong": "strong scaling", "weak": "weak scaling"}.get(row["kind"], "throughput")
    what = row["model"] or row["program"]
    data = f" on {row['data']}" if row["data"] else ""
    machine = [row["cpu_model"] or "unknown processor"]
    if row["device"] not in (None, "CPU"):
        machine.append(row["device"])
    return f"{row['study'] or 'Runs of no study'}: {kind} of {what}{data}; {', '.join(machine)}"


def _columns(varying: list[str]) -> list[Column]:
    from hpcnn.report.text import significant

    def percent(value: float) -> str:
        return f"{value:.1%}"

    return [
        Column("ranks", "ranks", right=True),
        Column("nodes", "nodes", right=True),
        *(Column(key, key.removeprefix("point_").removeprefix("train_")) for key in varying),
        Column("runs", "runs", right=True),
        Column("epochs", "epochs", right=True),
        Column("epoch_seconds_median", "s/epoch", significant, right=True),
        Column("range", "min..max", right=True),
        Column("images_per_second", "images/s", significant, right=True),
        Column("speedup", "speed-up", "{:.2f}".format, right=True),
        Column("efficiency", "efficiency", percent, right=True),
        Column("share_compute", "compute", percent, right=True),
        Column("share_communication", "communication", percent, right=True),
        Column("share_input", "input", percent, right=True),
        Column("test_accuracy", "test accuracy", "{:.2%}".format, right=True),
        Column("base", "", lambda is_base: "base" if is_base else ""),
    ]


def _range(row: Row) -> str | None:
    from hpcnn.report.text import significant

    if row["runs"] == 1:
        return None
    return f"{significant(row['epoch_seconds_min'])}..{significant(row['epoch_seconds_max'])}"


def _caption(rows: list[Row]) -> str:
    cases = list(dict.fromkeys(row["base_case"] for row in rows))
    parts = [f"{'base case' if len(cases) == 1 else 'base cases'}: {' | '.join(cases)}"]
    if rows[0]["kind"] not in ("strong", "weak"):
        parts.append("speed-up is the ratio of images/s")
    parts += ["warm-up epoch left out", "slowest rank per epoch"]
    if any(row["range"] for row in rows):
        parts.append("min..max over the runs' medians")
    if any(row["runs"] < RUNS_FOR_INTERVAL for row in rows):
        parts.append(f"fewer than {RUNS_FOR_INTERVAL} runs carry no 95 % confidence interval")
    return "; ".join(parts)


def _left_out_lines(out: pd.DataFrame) -> list[str]:
    if out.empty:
        return []
    lines = (f"  {_place(row.path)}: {row.status}: {row.reason}" for row in out.itertuples())
    return [f"Left out ({len(out)}):", *lines]


def _problem_lines(data: RunData, out: pd.DataFrame) -> list[str]:
    runs = data.runs[data.runs["problem"].notna() & ~data.runs["path"].isin(out["path"])]
    if runs.empty:
        return []
    lines = (f"  {_place(row.path)}: {row.problem}" for row in runs.itertuples())
    return [f"Counted, with a problem ({len(runs)}):", *lines]


def _place(path: Any) -> str:
    """Return a path as people in this directory would write it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
