"""Remarks on runs below every table: left out, counted with a problem, measured by several versions of hpcnn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.analysis.table_runs import row_names
from hpcnn.util.errors import HpcnnError
from hpcnn.util.text import shown_path

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from hpcnn.report import RunData

# Runs that are named one by one for the same reason.
_NAMED = 3


def left_out_lines(out: pd.DataFrame) -> list[str]:
    """Return the runs that do not count, with their reasons. out: of ``report.left_out``.

    Of many runs with one reason, as those of a study's ceiling are, the first one is named.
    """
    if out.empty:
        return []
    lines = []
    for (status, reason), runs in out.groupby(["status", "reason"], sort=False, dropna=False):
        paths = [shown_path(str(path)) for path in runs["path"]]
        named = paths if len(paths) <= _NAMED else [f"{paths[0]} and {len(paths) - 1} more"]
        lines += [f"  {name}: {status}: {reason}" for name in named]
    return [f"Left out ({len(out)}):", *lines]


def problem_lines(data: RunData, out: pd.DataFrame) -> list[str]:
    """Return the runs that count in spite of a problem in their record."""
    runs = data.runs[data.runs["problem"].notna() & ~data.runs["path"].isin(out["path"])]
    if runs.empty:
        return []
    lines = (f"  {shown_path(str(row.path))}: {row.problem}" for row in runs.itertuples())
    return [f"Counted, with a problem ({len(runs)}):", *lines]


def repeat_lines(table: pd.DataFrame, make_quality: Callable[[], pd.DataFrame]) -> list[str]:
    """Return the rows of a scaling table whose repeats are in doubt, by its table of quality; none without SciPy."""
    try:
        quality = make_quality()
    except HpcnnError:
        return []
    names = row_names(table)
    lines = [f"  {names[row]}: {words}" for row, words in quality["remarks"].items() if words]
    return [f"Repeats in doubt ({len(lines)}):", *lines] if lines else []


def version_lines(data: RunData, out: pd.DataFrame) -> list[str]:
    """Return the versions of hpcnn that measured, if they are several."""
    counted = data.runs[~data.runs["path"].isin(out["path"])]
    of_version = counted.groupby(counted["hpcnn"].fillna("unknown"))["path"]
    if of_version.ngroups < 2:
        return []
    lines = (
        f"  {version}: {len(paths)} of the runs, {shown_path(paths.iloc[0])} for one" for version, paths in of_version
    )
    return ["Measured with several versions of hpcnn:", *lines]
