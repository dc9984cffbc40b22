"""``hpcnn compare``: compare the speed of two sets of runs, with intervals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from hpcnn.cli.output import say
from hpcnn.cli.report_options import confidence_option, format_option
from hpcnn.util.errors import UsageError
from hpcnn.util.table import FOR_PEOPLE
from hpcnn.util.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    help="Exit with status 1 if B is slower than A by more than PCT %: if the whole interval is above it; with 0 if "
    "all of it is below; with 2 if it cannot tell.",
)
@click.option(
    "--accuracy-tolerance",
    "points",
    metavar="POINTS",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="For --fail-on-regression: by how many points of 100 the test accuracy of B may be lower.",
)
def command(a: str, b: str, fmt: str, warmup: int, confidence: float, percent: float | None, points: float) -> None:
    """Compare the epoch times of the runs below B with those of the runs below A.

    Configurations are matched by what they compute: model, data, samples, batch size, ranks, and what else varies
    within A or B. With --fail-on-regression, a configuration that B lacks, runs of B that did not complete, and runs
    that are too few or too noisy to tell exit with status 2.

    A and B may also be two files that one benchmark wrote (benchmarks/NAME.py --json FILE): each way of each case is
    compared, a value being a repeat.
    """
    bounds = None if percent is None else _Bounds(percent, points, confidence)
    if Path(a).is_file() and Path(b).is_file():
        _compare_benchmarks(Path(a), Path(b), fmt, confidence, bounds)
        return
    from hpcnn.analysis.compare import apart_in_time
    from hpcnn.report import compare_runs, differing, left_out, load
    from hpcnn.report.views.comparison import comparison_view, row_names
    from hpcnn.report.views.left_out import left_out_views
    from hpcnn.report.views.rules import Rules
    from hpcnn.report.views.write import write_data, write_views

    rules = Rules(warmup, confidence)
    sets = load(a), load(b)
    table = compare_runs(
        *sets,
        warmup=warmup,
        confidence=confidence,
        allowed=(percent or 0.0) / 100,
        accuracy_allowed=points / 100,
    )
    apart = apart_in_time(*sets, warmup=warmup)
    if fmt in FOR_PEOPLE:
        write_views([comparison_view(table, differing(*sets, warmup=warmup), rules, apart)], fmt)
    else:
        write_data({"comparison": table}, fmt)
        if apart:
            say(apart, err=True)
    for name, data in zip(("A", "B"), sets, strict=True):
        for view in left_out_views(left_out(data, warmup), rules):
            for row in view.rows:
                say(f"Left out of {name}: {row['path']}: {row['status']}: {row['reason']}", err=fmt != "table")
    if bounds is not None:
        failed = int((left_out(sets[1], warmup)["status"] != "completed").sum())
        _exit_by(table, row_names(table), bounds, failed)


def _compare_benchmarks(a: Path, b: Path, fmt: str, confidence: float, bounds: _Bounds | None) -> None:
    from hpcnn.analysis.benchmarks import compare_benchmarks
    from hpcnn.report.views.benchmarks import benchmarks_view
    from hpcnn.report.views.write import write_data, write_views

    table = compare_benchmarks(a, b, confidence, allowed=bounds.percent / 100 if bounds else 0.0)
    if fmt in FOR_PEOPLE:
        write_views([benchmarks_view(table)], fmt)
    else:
        write_data({"comparison": table}, fmt)
    if bounds is not None:
        _exit_by(table, [f"{case}, {way}" for case, way in zip(table["case"], table["way"], strict=True)], bounds)


class _Bounds(NamedTuple):
    """What --fail-on-regression allows: slower by ``percent``, less accurate by ``points`` of 100."""

    percent: float
    points: float
    confidence: float


def _exit_by(table: pd.DataFrame, names: Sequence[str], bounds: _Bounds, failed: int = 0) -> None:
    """Exit with status 1 on a regression; raise UsageError, which is status 2, where the data cannot tell."""
    from hpcnn.analysis.regression import decide

    percent, points, confidence = bounds
    found = decide(table, names, percent / 100, points, confidence, failed)
    allowed = f"no more than {percent:g} % in time and {points:g} points of accuracy is allowed"
    if found.worse:
        say(f"Regression: {visible('; '.join(found.worse))}; {allowed}.", err=True)
        sys.exit(1)
    if found.undecided:
        raise UsageError(f"--fail-on-regression: the runs do not decide it: {'; '.join(found.undecided)} ({allowed})")
