"""The series of one table as points to draw: their order, base cases, intervals and names. Draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hpcnn.analysis.base import SIZE, row_name, series_of
from hpcnn.analysis.series import settings_of
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from hpcnn.analysis.fits import Fit, FittedSeries
    from hpcnn.util.types import Array

# More series than there are colours to tell apart are left to the table.
MOST_SERIES = 5
# Characters of a name beside a bar or in a legend.
_LONGEST_NAME = 36


class Series(NamedTuple):
    """Rows of a table that differ in size alone, by size, and the base case of each (a row of ``bases``).

    label: its settings that other series do not have, empty for a single series. joined: whether a line may join the
    points: not where one number of ranks was measured in several ways (on other nodes, say).
    """

    label: str
    rows: pd.DataFrame
    bases: pd.DataFrame
    joined: bool

    @property
    def ranks(self) -> list[int]:
        """Numbers of ranks, ascending."""
        return [int(number) for number in self.rows["ranks"]]

    @property
    def ideal(self) -> Array:
        """Speed-up over the base case that each row would have ideally (strong scaling)."""
        ideal: Array = self.rows["ranks"].to_numpy("float64") / self.bases["ranks"].to_numpy("float64")
        return ideal


def placements(series: Series) -> list[tuple[str, Array]]:
    """Return which points share a marker, and what they have in common, in words.

    All points of a series whose ranks are unique do, with no words. Of another series, those on as many nodes and with
    as many replicas in a process do.
    """
    rows = series.rows.reset_index(drop=True)
    if series.joined:
        return [("", np.ones(len(rows), dtype=bool))]
    where = pd.DataFrame({"nodes": rows["nodes"], "replicas": rows["ranks"] / rows["ntasks"]}).astype("float64")
    found = []
    for _, own in where.groupby(["nodes", "replicas"], dropna=False):
        nodes, replicas = own.iloc[0]
        words = [counted(int(nodes), "node")] if where["nodes"].nunique() > 1 and nodes == nodes else []
        words += [f"{replicas:g} a process"] if where["replicas"].nunique() > 1 and replicas == replicas else []
        found.append((", ".join(words), rows.index.isin(own.index)))
    return found


def scaling_kind(table: pd.DataFrame) -> str | None:
    """Return "strong" or "weak" for the rows of one table of scaling, None for other tables."""
    kind = table["kind"].astype(object).iloc[0]
    return kind if isinstance(kind, str) and kind in ("strong", "weak") else None


def names_of(table: pd.DataFrame, labels: Iterable[Hashable]) -> list[str]:
    """Return the names of the rows ``labels`` of one table for a figure, all different and none too long."""
    settings = settings_of(table)
    return _distinct([_shortened(row_name(table, label, settings)) for label in labels])


def _distinct(names: Sequence[str]) -> list[str]:
    """Return ``names`` with a number after each that occurs more than once: two bars of one name would be one bar."""
    counts = [names[: at + 1].count(name) for at, name in enumerate(names)]
    return [name if names.count(name) == 1 else f"{name} ({at})" for name, at in zip(names, counts, strict=True)]


def series_in(table: pd.DataFrame) -> tuple[list[Series], int]:
    """Return the series of ``table`` (rows of one table of strong or weak scaling), and how many more there are.

    The series with the most sizes come first.
    """
    settings = settings_of(table)
    cases = table[table["base"]].drop_duplicates("base_case").set_index("base_case")
    found = []
    parts = series_of(table, settings)
    for part in parts:
        ordered = part.sort_values([*SIZE, *settings], kind="stable")
        rows = ordered[ordered["base_case"].isin(cases.index)]
        if rows.empty:
            continue
        _, _, varying = row_name(table, rows.index[0], settings).partition(", ")
        label = _shortened(varying) if len(parts) > 1 else ""
        found.append(Series(label, rows, cases.loc[rows["base_case"]], bool(rows["ranks"].is_unique)))
    found.sort(key=lambda series: -len(series.rows))
    return found[:MOST_SERIES], len(found[MOST_SERIES:])


def time_bars(series: Series) -> Array:
    """Return how far the interval of the median reaches below and above it (2 x rows, in s); NaN without one."""
    median, low, high = (_column(series.rows, key) for key in ("epoch_seconds_median", "interval_low", "interval_high"))
    return np.array([median - low, high - median])


def ratio_bars(series: Series, ratio: str) -> Array:
    """Return how far the interval of ``speedup`` or ``efficiency`` reaches below and above it (2 x rows); NaN without.

    The base case over itself is 1, and has none.
    """
    value, low, high = (_column(series.rows, f"{ratio}{end}") for end in ("", "_low", "_high"))
    return np.array([value - low, high - value])


def least_coverage(series: list[Series], *, of_ratio: bool) -> float | None:
    """Return the least coverage of the bars that are drawn; None where no bar is."""
    key = "ratio_coverage" if of_ratio else "interval_coverage"
    return min((value for one in series for value in _column(one.rows, key) if not np.isnan(value)), default=None)


def ceiling_seconds(series: Series) -> Array:
    """Return the epoch time without communication, in s: samples over the measured ceiling; NaN without a ceiling."""
    seconds: Array = _column(series.rows, "samples") / _column(series.rows, "ceiling_images_per_second")
    return seconds


def fits_of(series: Series, fitted: list[FittedSeries] | None) -> dict[str, Fit]:
    """Return the fits to a series by their model, without those that were refused."""
    for one in fitted or []:
        if set(one.rows.index) == set(series.rows.index):
            return {fit.model: fit for fit in one.fits if fit.refused is None}
    return {}


def _column(rows: pd.DataFrame, key: str) -> Array:
    values: Array = rows[key].to_numpy("float64", na_value=np.nan) if key in rows else np.full(len(rows), np.nan)
    return values


def _shortened(name: str) -> str:
    """Return a name on one line, of printable characters, and not longer than a figure has room for."""
    printable = "".join(sign if sign.isprintable() else "�" for sign in name)
    return printable if len(printable) <= _LONGEST_NAME else f"{printable[: _LONGEST_NAME - 1]}…"
