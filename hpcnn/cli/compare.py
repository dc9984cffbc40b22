"""``hpcnn compare``: compare the speed of two sets of runs, with intervals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpcnn.cli.report_options import confidence_option, format_option
from hpcnn.util.errors import UsageError
from hpcnn.util.table import FOR_PEOPLE

if TYPE_CHECKING:
    import pandas as pd


@click.command(epilog="Example:  hpcnn compare runs/before runs/after --fail-on-regression 5")
@click.argument("a", metavar="A", type=click.Path())
@click.argument("b", metavar="B", type=click.Path())
@format_option
@click.option(
    "--warmup", type=click.IntRange(0), default=1, show_default=True, help="Epochs left out at the beginning."
)
@confidence_option
@click.option(
    "--fail-on-regression",
    "percent",
    metavar="PCT",
    type=click.FloatRange(0),
    help="Exit with status 1 if B is slower than A by more than PCT % anywhere, and the interval shows it.",
)
def command(a: str, b: str, fmt: str, warmup: int, confidence: float, percent: float | None) -> None:
    """Compare the epoch times of the runs below B with those of the runs below A.

    Configurations are matched by what they compute: model, data, samples, batch size, ranks, and what else varies
    within A or B. With --fail-on-regression, runs that are too few to tell exit with status 2.

    A and B may also be two files that one benchmark wrote (benchmarks/NAME.py --json FILE): each way of each case is
    compared, a value being a repeat.
    """
    if Path(a).is_file() and Path(b).is_file():
        _compare_benchmarks(Path(a), Path(b), fmt, confidence, percent)
        return
    from hpcnn.report import compare_runs, differing, left_out, load
    from hpcnn.report.views.comparison import comparison_view
    from hpcnn.report.views.left_out import left_out_views
    from hpcnn.report.views.rules import Rules
    from hpcnn.report.views.write import write_data, write_views

    rules = Rules(warmup, confidence)
    sets = load(a), load(b)
    table = compare_runs(*sets, warmup=warmup, confidence=confidence)
    if fmt in FOR_PEOPLE:
        write_views([comparison_view(table, differing(*sets, warmup=warmup), rules)], fmt)
    else:
        write_data({"comparison": table}, fmt)
    for name, data in zip(("A", "B"), sets, strict=True):
        for view in left_out_views(left_out(data, warmup), rules):
            for row in view.rows:
                click.echo(f"Left out of {name}: {row['path']}: {row['status']}: {row['reason']}", err=fmt != "table")
    if percent is not None:
        _fail_on_regression(table.assign(slower=table["change"]), percent, confidence)


def _compare_benchmarks(a: Path, b: Path, fmt: str, confidence: float, percent: float | None) -> None:
    from hpcnn.analysis.benchmarks import compare_benchmarks
    from hpcnn.report.views.benchmarks import benchmarks_view
    from hpcnn.report.views.write import write_data, write_views

    table = compare_benchmarks(a, b, confidence)
    if fmt in FOR_PEOPLE:
        write_views([benchmarks_view(table)], fmt)
    else:
        write_data({"comparison": table}, fmt)
    if percent is not None:
        _fail_on_regression(table, percent, confidence)


def _fail_on_regression(table: pd.DataFrame, percent: float, confidence: float) -> None:
    """Exit with status 1 on a regression; raise UsageError if the runs are too few to decide."""
    slower = table[table["conclusive"] & (table["slower"] > 0) & (table["slower"] * 100 > percent)]
    if len(slower):
        worst = slower["slower"].max()
        click.echo(f"Regression: B is slower by up to {worst:.1%}; no more than {percent:g} % is allowed.", err=True)
        sys.exit(1)
    few = table[(table["runs_a"] > 0) & (table["runs_b"] > 0) & (table["coverage"] < confidence)]
    if len(few):
        from hpcnn.stats.rank_tests import values_needed

        needed = values_needed(confidence)
        raise UsageError(
            f"--fail-on-regression: {len(few)} of the configurations have too few runs to tell; "
            f"{needed} in A and {needed} in B can"
        )
